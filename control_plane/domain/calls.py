"""What makes a call valid, and which of two statuses is the newer one. Pure: no I/O, no clock."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import phonenumbers

from control_plane.tools.definitions import Definition
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings
from workflows.contracts import CallStatus, Direction, OnVoicemail

MAX_GREETING_BYTES = 4096
MAX_MESSAGE_BYTES = 2000
MAX_PROMPT_BYTES = 32_768
MAX_DURATION_SECONDS = 14_400  # Twilio's own limit for an outbound call
DEFAULT_DURATION_SECONDS = 1800
MAX_REASON_BYTES = 500
GREETING_MODES = ("immediate", "after_hello", "none")

_WORKFLOW_ID = re.compile(r"call-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_ORDER = (CallStatus.INITIATED, CallStatus.RINGING, CallStatus.IN_PROGRESS)


@dataclass(frozen=True)
class AgentCall:
    """A request for a call of a stored agent. 0: the latest version, the agent's own longest duration."""

    phone_number: str
    name: str
    version: int = 0
    variables: Mapping[str, str] = field(default_factory=dict)
    max_duration_seconds: int = 0
    on_voicemail: str = ""  # as of NewCall; as the next
    voicemail_message: str = ""
    direction: Direction = Direction.OUTBOUND


@dataclass(frozen=True)
class NewCall:
    """A request for a call, every field checked by the functions below."""

    phone_number: str
    system_prompt: str
    greeting: str = ""
    max_duration_seconds: int = DEFAULT_DURATION_SECONDS
    tools: Sequence[Definition] = ()
    greeting_mode: str = ""  # empty: immediate
    agent: AgentSettings = field(default_factory=AgentSettings)  # checked against its model when it is made
    # Of a stored agent's call (domain.agents):
    agent_name: str = ""
    agent_version: int = 0
    recording: bool = False
    webhook_url: str = ""  # is told how the call goes; empty: nobody
    on_voicemail: str = ""  # contracts.OnVoicemail; empty: machines are not detected
    voicemail_message: str = ""


def is_workflow_id(text: str) -> bool:
    """Whether we could have issued this id: `call-` and a UUID in lower case."""
    return _WORKFLOW_ID.fullmatch(text) is not None


def phone_number(text: str) -> str:
    """The number itself, when it is written as E.164 (ITU-T E.164: `+`, country code, at most 15 digits).

    Raises:
        ValueError: it is written otherwise, or no number of that length exists in its country.
    """
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException as error:
        raise ValueError("must be an E.164 number, like +15551234567") from error
    if phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164) != text:
        raise ValueError("must be an E.164 number: + and digits only, like +15551234567")
    if not phonenumbers.is_possible_number(number):
        raise ValueError("is not a possible number in its country")
    return text


def greeting(text: str) -> str:
    """At most 4096 bytes of UTF-8; empty: the agent waits for the callee to speak."""
    return _bounded(text, MAX_GREETING_BYTES)


def greeting_mode(text: str) -> str:
    """When the greeting is spoken: `immediate`, `after_hello` or `none`; empty: not said."""
    if text not in ("", *GREETING_MODES):
        raise ValueError(f"must be one of {', '.join(GREETING_MODES)}")
    return text


def on_voicemail(text: str) -> str:
    """What is done when a machine answers: hang_up, leave_message, ignore; empty: nobody finds out."""
    if text not in ("", *OnVoicemail):
        raise ValueError(f"must be one of {', '.join(OnVoicemail)}")
    return text


def voicemail_message(text: str) -> str:
    """At most 2000 bytes of UTF-8, which is some two minutes of speech."""
    return _bounded(text, MAX_MESSAGE_BYTES)


def voicemail(policy: str, message: str) -> None:
    """A message where one is to be left, and only there. Raises ValueError."""
    if (policy == OnVoicemail.LEAVE_MESSAGE) != bool(message.strip()):
        raise ValueError("voicemail_message belongs to on_voicemail leave_message, which needs it")


def system_prompt(text: str) -> str:
    """1 to 32768 bytes of UTF-8, not only white space."""
    if not text.strip():
        raise ValueError("must not be empty")
    return _bounded(text, MAX_PROMPT_BYTES)


def max_duration_seconds(seconds: int) -> int:
    """1 to 14400."""
    if not 1 <= seconds <= MAX_DURATION_SECONDS:
        raise ValueError(f"must be from 1 to {MAX_DURATION_SECONDS}")
    return seconds


def reason(text: str) -> str:
    """At most 500 bytes of UTF-8: why somebody ends a call."""
    return _bounded(text, MAX_REASON_BYTES)


def _bounded(text: str, limit: int) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise ValueError("must be valid Unicode: it holds half of a surrogate pair") from error
    if size > limit:
        raise ValueError(f"must be at most {limit} bytes of UTF-8, not {size}")
    if "\0" in text:
        # Postgres text cannot hold it, and it would fail there long after the caller was answered.
        raise ValueError("must not hold the character U+0000")
    return text


def rank(status: CallStatus) -> int:
    """How far a call has come: statuses only ever move to a higher rank, and final ones share the highest."""
    return _ORDER.index(status) if status in _ORDER else len(_ORDER)


def furthest(one: CallStatus, other: CallStatus) -> CallStatus:
    """The newer of two statuses of one call, as two stores told it; `one` when they are as far."""
    return other if rank(other) > rank(one) else one
