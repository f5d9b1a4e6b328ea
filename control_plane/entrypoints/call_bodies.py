"""The body of POST /calls: a call described in full, or one of a stored agent (docs/agents.md)."""

from __future__ import annotations

from typing import Annotated, Any, Self

from fastapi import Request
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import from_json

from control_plane.domain import calls
from control_plane.domain.calls import AgentCall, NewCall
from control_plane.domain.templates import MAX_VARIABLES
from control_plane.entrypoints import bodies
from control_plane.entrypoints.schemas import CreateCallBody


class AgentRef(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(examples=["receptionist"])
    version: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = Field(
        default=None, description="null: the latest", examples=[3]
    )


def _named(value: Any) -> Any:
    """A name alone means the latest version."""
    return {"name": value} if isinstance(value, str) else value


class AgentCallBody(BaseModel):
    """A call of a stored agent: what else it is made with is in the agent's profile."""

    model_config = ConfigDict(extra="forbid", strict=True)

    phone_number: Annotated[str, AfterValidator(calls.phone_number)] = Field(
        description="whom to call: E.164", examples=["+15551234567"]
    )
    agent: Annotated[AgentRef, BeforeValidator(_named, json_schema_input_type=str | AgentRef)] = Field(
        description="its name, or name and version"
    )
    variables: Annotated[dict[str, str], Field(max_length=MAX_VARIABLES)] = Field(
        default={},
        description="for the `{{names}}` in the agent's texts: all of them, and no others",
        examples=[{"company": "Fern & Fox", "first_name": "Ada"}],
    )
    max_duration_seconds: Annotated[int, AfterValidator(calls.max_duration_seconds)] | None = Field(
        default=None, description="1 to 14400; null: the agent's", examples=[1800]
    )

    on_voicemail: Annotated[str, AfterValidator(calls.on_voicemail)] = Field(
        default="",
        description="what to do when a machine answers: hang_up; leave_message, after its beep; ignore. "
        "Empty: machines are not detected",
        examples=["leave_message"],
    )
    voicemail_message: Annotated[str, AfterValidator(calls.voicemail_message)] = Field(
        default="",
        description="what leave_message leaves, at most 2000 bytes",
        examples=["Hello, this is the Fern & Fox clinic. Please call us back."],
    )

    @model_validator(mode="after")
    def _message_to_leave(self) -> Self:
        calls.voicemail(self.on_voicemail, self.voicemail_message)
        return self

    def new_call(self) -> AgentCall:
        return AgentCall(
            phone_number=self.phone_number,
            name=self.agent.name,
            version=self.agent.version or 0,
            variables=self.variables,
            max_duration_seconds=self.max_duration_seconds or 0,
            on_voicemail=self.on_voicemail,
            voicemail_message=self.voicemail_message,
        )


async def read(request: Request) -> NewCall | AgentCall:
    """Raises RequestValidationError."""
    if _names_an_agent(await request.body()):
        return (await bodies.read(AgentCallBody, request)).new_call()
    return (await bodies.read(CreateCallBody, request)).new_call()


def described(example: dict[str, Any]) -> dict[str, Any]:
    """`openapi_extra` of POST /calls."""
    schema = {"oneOf": [bodies.schema(CreateCallBody), bodies.schema(AgentCallBody)]}
    content = {"application/json": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def _names_an_agent(body: bytes) -> bool:
    """`agent` is a name or has one; otherwise it is what a call asks of its model."""
    if b'"agent"' not in body:
        return False
    try:
        found = from_json(body)
    except ValueError:
        return False  # whichever body it was to be: reading it says what is wrong
    agent = found.get("agent") if isinstance(found, dict) else None
    return isinstance(agent, str) or (isinstance(agent, dict) and "name" in agent)
