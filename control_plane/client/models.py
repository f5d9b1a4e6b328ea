"""What the client takes and gives. Times in ms are since the media stream started; -1: not known."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class CallStatus(StrEnum):
    """Where a call is. The last five are final; `unknown` is one newer than this client."""

    UNKNOWN = "unknown"
    INITIATED = "initiated"
    RINGING = "ringing"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def final(self) -> bool:
        return self not in (
            CallStatus.UNKNOWN,
            CallStatus.INITIATED,
            CallStatus.RINGING,
            CallStatus.IN_PROGRESS,
        )


@dataclass(frozen=True)
class NewCall:
    """A call to make, of a stored agent (`agent_name`, docs/agents.md) or of a prompt of its own.

    `tools`: functions the agent may call (docs/tools.md); `agent`: what the call asks of its model
    (docs/models.md); both as the REST API has them.
    """

    phone_number: str  # E.164
    system_prompt: str = ""  # a stored agent has its own
    greeting: str = ""
    greeting_mode: str = ""  # immediate, after_hello or none
    max_duration_seconds: int = 0  # 0: 1800
    tools: list[dict[str, Any]] = field(default_factory=list)
    agent: dict[str, Any] = field(default_factory=dict)
    agent_name: str = ""
    agent_version: int = 0  # 0: the latest
    variables: dict[str, str] = field(default_factory=dict)  # for the `{{names}}` in the stored agent


@dataclass(frozen=True)
class CreatedCall:
    workflow_id: str
    run_id: str
    phone_number: str
    status: CallStatus


@dataclass(frozen=True)
class Call:
    """`transcript_count`: of `get` alone; the times, `end_reason` and the duration: of `list` alone."""

    workflow_id: str
    status: CallStatus
    phone_number: str
    greeting: str
    transcript_count: int = 0
    created_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str = ""
    duration_seconds: float = 0.0
    agent_name: str = ""  # the stored agent it ran; empty: none


@dataclass(frozen=True)
class CallPage:
    calls: list[Call]
    next_page_token: str  # empty: the last page


@dataclass(frozen=True)
class TranscriptLine:
    speaker: str  # caller or agent
    text: str  # what was heard
    start_ms: int
    end_ms: int
    interrupted: bool
    unheard_text: str


@dataclass(frozen=True)
class Turn:
    """One answer of the agent."""

    turn: int
    caller_stopped_ms: int
    first_audio_ms: int
    response_ms: int
    audio_ms: int
    interrupted: bool


@dataclass(frozen=True)
class CallResult:
    workflow_id: str
    status: CallStatus
    end_reason: str
    duration_seconds: float
    transcript: list[TranscriptLine]
    turns: list[Turn]


@dataclass(frozen=True)
class Item:
    """One of a watched call's; `sequence` is what a watch is resumed after."""

    sequence: int


@dataclass(frozen=True)
class StatusReached(Item):
    status: CallStatus


@dataclass(frozen=True)
class Delta(Item):
    """A piece of a transcript: concatenate per `segment_id`."""

    segment_id: int
    speaker: str
    text: str


@dataclass(frozen=True)
class Segment(Item):
    """A whole turn of one speaker."""

    segment_id: int
    line: TranscriptLine


@dataclass(frozen=True)
class TurnDone(Item):
    turn: Turn


@dataclass(frozen=True)
class Event(Item):
    """Anything else that happened: `kind` is its name in events.proto, `data` its fields."""

    kind: str
    offset_ms: int
    data: dict[str, Any]


@dataclass(frozen=True)
class Ended(Item):
    """The last item."""

    status: CallStatus
    end_reason: str
    error: str
    duration_seconds: float
