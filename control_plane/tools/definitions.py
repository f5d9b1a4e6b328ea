"""A call's tools, as whoever creates the call describes them. Checked strictly; what needs settings (which
hosts and ports a URL may name) is checked by `urls`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

MAX_TOOLS = 32
MAX_DECLARED = 64  # with what MCP servers list
MAX_DESCRIPTION = 4096
MAX_SCHEMA = 16_384  # bytes of JSON
MAX_HEADERS = 20
MAX_PEOPLE = 20
MAX_PERSON = 64
LINE_TIMEOUT_MS = 20_000  # Twilio is asked meanwhile
END_CALL = "end_call"
END_CALL_DESCRIPTION = (
    "Ends the telephone call. Say goodbye first. The call ends when the caller has heard it; if the caller "
    "speaks before that, answer, and call this again."
)

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")  # a token of RFC 9110
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]{0,4094}[\x21-\x7e])?")
# Ours to set, or the connection's: a request with its own would say something else than what is sent.
_RESERVED = frozenset(
    {
        *("host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"),
        *("proxy-authorization", "proxy-connection", "keep-alive", "content-type", "content-encoding"),
        *("accept-encoding", "idempotency-key", "x-forwarded-for", "forwarded", "via", "cookie"),
    }
)


def tool_name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("must be 1-64 characters of A-Z a-z 0-9 _, not starting with a digit")
    return text


def _description(text: str) -> str:
    if not text.strip() or len(text.encode("utf-8", "surrogatepass")) > MAX_DESCRIPTION:
        raise ValueError(f"must be 1 to {MAX_DESCRIPTION} bytes: the model chooses by it")
    return text


def _parameters(schema: dict[str, Any]) -> dict[str, Any]:
    if schema and schema.get("type") != "object":
        raise ValueError("must be the JSON Schema of an object")
    if len(json.dumps(schema)) > MAX_SCHEMA:
        raise ValueError(f"must be at most {MAX_SCHEMA} bytes of JSON")
    return schema


def _headers(headers: dict[str, str]) -> dict[str, str]:
    if len(headers) > MAX_HEADERS:
        raise ValueError(f"must be at most {MAX_HEADERS}")
    for name, value in headers.items():
        if not _HEADER.fullmatch(name):
            raise ValueError(f"{name!r} is not a header's name")
        if name.lower() in _RESERVED or name.lower().startswith(("x-voiceplane-", "mcp-", "sec-", "proxy-")):
            raise ValueError(f"{name} is not a header that tools may set")
        if value and not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"the value of {name} holds characters that no header may hold")
    return headers


Name = Annotated[str, AfterValidator(tool_name)]
Headers = Annotated[dict[str, str], AfterValidator(_headers)]
Timeout = Annotated[int, Field(ge=100, le=60_000, description="milliseconds, all in all")]
Scheduling = Literal["", "SILENT", "WHEN_IDLE", "INTERRUPT"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class HttpTool(_Strict):
    """A function behind a URL. Arguments are sent as a JSON body, or, with GET and DELETE, as the query."""

    type: Literal["http"] = "http"
    name: Name
    description: Annotated[str, AfterValidator(_description)]
    parameters: Annotated[dict[str, Any], AfterValidator(_parameters)] = Field(
        default={}, description="JSON Schema of an object; empty: no parameters"
    )
    url: str = Field(description="https://…", examples=["https://tools.example.com/book_table"])
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    headers: Headers = {}
    timeout_ms: Timeout = 10_000
    blocking: bool = Field(default=False, description="the agent says nothing until the answer is there")
    scheduling: Scheduling = Field(
        default="", description="when an answer that nothing waited for is taken up; empty: the model's way"
    )


class McpServer(_Strict):
    """A Model Context Protocol server (streamable HTTP): its tools are listed when a call is prepared."""

    type: Literal["mcp"] = "mcp"
    name: Name = Field(description="unique in the call; of the server, not of a function")
    url: str = Field(examples=["https://tools.example.com/mcp"])
    headers: Headers = {}
    allowed: list[str] = Field(default=[], description="the functions to offer the model; empty: all listed")
    timeout_ms: Timeout = 10_000
    blocking: bool = False
    scheduling: Scheduling = ""


def _people(to: dict[str, str]) -> dict[str, str]:
    if not 1 <= len(to) <= MAX_PEOPLE:
        raise ValueError(f"must be 1 to {MAX_PEOPLE} people")
    for name, number in to.items():
        if not name.strip() or len(name) > MAX_PERSON or not name.isprintable():
            raise ValueError(f"names must be 1 to {MAX_PERSON} printable characters")
        if not _E164.fullmatch(number):
            raise ValueError(f"{name}: must be an E.164 number, like +15551234567")
    return to


class EndCall(_Strict):
    """The agent may end the call, once its goodbye has been played."""

    type: Literal["end_call"] = "end_call"


class SendDtmf(_Strict):
    """The agent may press keys, for a telephone menu that asks for them."""

    type: Literal["send_dtmf"] = "send_dtmf"


class TransferCall(_Strict):
    """The agent may hand the call over to one of these people, and to nobody else."""

    type: Literal["transfer_call"] = "transfer_call"
    to: Annotated[dict[str, str], AfterValidator(_people)] = Field(
        description="their numbers, E.164, by what the agent calls them",
        examples=[{"billing": "+15557654321"}],
    )
    mode: Literal["cold", "warm"] = Field(
        default="cold", description="warm: the person hears a summary first, and may decline"
    )
    timeout_seconds: Annotated[int, Field(ge=5, le=120)] = 30


class LeaveVoicemail(_Strict):
    """The agent may leave a message on a machine that answered, which ends the call."""

    type: Literal["leave_voicemail"] = "leave_voicemail"


OnLine = SendDtmf | TransferCall | LeaveVoicemail  # what Twilio does with the call; see line_tool
BuiltIn = EndCall | OnLine  # functions of ours: without a URL, named as their type
Definition = Annotated[
    HttpTool | McpServer | EndCall | SendDtmf | TransferCall | LeaveVoicemail, Field(discriminator="type")
]


def _unique(definitions: list[Definition]) -> list[Definition]:
    names = [tool.type if isinstance(tool, BuiltIn) else tool.name for tool in definitions]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two tools are named {name}")
    return definitions


Definitions = Annotated[list[Definition], Field(max_length=MAX_TOOLS), AfterValidator(_unique)]
DEFINITIONS: TypeAdapter[list[Definition]] = TypeAdapter(Definitions)


@dataclass(frozen=True)
class Declaration:
    """A function as the model and the media node see it."""

    name: str
    description: str
    parameters_json: str = ""
    blocking: bool = False
    timeout_ms: int = 10_000
    scheduling: str = ""
    ends_call: bool = False


def declared(tool: HttpTool | BuiltIn) -> Declaration:
    if isinstance(tool, EndCall):
        return Declaration(END_CALL, END_CALL_DESCRIPTION, ends_call=True)
    if isinstance(tool, OnLine):
        return _on_line(tool)
    return Declaration(
        name=tool.name,
        description=tool.description,
        parameters_json=json.dumps(tool.parameters) if tool.parameters else "",
        blocking=tool.blocking,
        timeout_ms=tool.timeout_ms,
        scheduling=tool.scheduling,
    )


def _on_line(tool: OnLine) -> Declaration:
    match tool:
        case SendDtmf():
            description = (
                "Presses keys of the telephone for the other side to hear, as a menu asks for. You hear "
                "nothing of the other side while they are pressed."
            )
            keys = "0-9 * # A-D, and w for half a second of silence; at most 64"
            parameters: dict[str, Any] = {"digits": {"type": "string", "description": keys}}
        case TransferCall():
            description = (
                "Hands the call over to a person. Tell the caller first. When nobody takes it, you are told, "
                "and the caller is yours again."
            )
            parameters = {"to": {"type": "string", "enum": list(tool.to)}}
            if tool.mode == "warm":
                what = "what the person should know about the caller and the call so far"
                parameters["summary"] = {"type": "string", "description": what}
        case LeaveVoicemail():
            description = (
                "Leaves a message on the answering machine you hear, and ends the call. Call it after the "
                "machine's beep; don't say the message yourself."
            )
            parameters = {"message": {"type": "string", "description": "the whole message"}}
    schema = {"type": "object", "properties": parameters, "required": list(parameters)}
    return Declaration(tool.type, description, json.dumps(schema), timeout_ms=LINE_TIMEOUT_MS)


def dump(definitions: Sequence[Definition]) -> str:
    """As JSON; with whatever secrets their headers hold."""
    return DEFINITIONS.dump_json(list(definitions)).decode()


def load(text: str | bytes) -> list[Definition]:
    """Raises pydantic.ValidationError."""
    return DEFINITIONS.validate_json(text)
