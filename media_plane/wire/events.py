"""What the media plane tells about a call; `rpc.convert` makes protobuf of it (voiceplane/events/v1).

All times are milliseconds since the media stream started, -1 for "not known", unless a name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Speaker(IntEnum):
    CALLER = 1
    AGENT = 2


class EndReason(IntEnum):
    """Why the media leg is over; values of voiceplane.events.v1.StreamEndReason."""

    STOP = 1
    SOCKET_CLOSED = 2
    MODEL_FAILED = 3
    REQUESTED = 4
    EXPIRED = 5
    DRAIN = 6
    AGENT_ENDED = 7


@dataclass(frozen=True, slots=True)
class SessionReady:
    connect_ms: int
    setup_ms: int
    model: str


@dataclass(frozen=True, slots=True)
class SessionFailed:
    close_code: int
    reason: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class StreamStarted:
    stream_sid: str
    call_sid: str


@dataclass(frozen=True, slots=True)
class TranscriptDelta:
    segment_id: int
    speaker: Speaker
    text: str


@dataclass(frozen=True, slots=True)
class TranscriptSegment:
    segment_id: int
    speaker: Speaker
    text: str
    start_ms: int
    end_ms: int
    interrupted: bool
    unheard_text: str = ""  # what the agent said but the caller did not hear; `text` is what was heard


@dataclass(frozen=True, slots=True)
class TurnCompleted:
    turn: int
    caller_stopped_ms: int
    first_audio_ms: int
    response_ms: int
    audio_ms: int
    interrupted: bool


@dataclass(frozen=True, slots=True)
class Interrupted:
    turn: int
    discarded_ms: int
    flush_us: int


@dataclass(frozen=True, slots=True)
class DtmfReceived:
    digit: str


@dataclass(frozen=True, slots=True)
class Latency:
    """Time in the media plane, socket read to socket write."""

    frames: int
    p50_us: int
    p99_us: int
    max_us: int


@dataclass(frozen=True, slots=True)
class MediaSummary:
    uplink: Latency
    downlink: Latency
    first_audio_ms: int
    caller_audio_ms: int
    agent_audio_ms: int
    dropped_frames: int
    interruptions: int
    setup_ms: int
    prewarmed: bool
    prompt_tokens: int
    response_tokens: int


@dataclass(frozen=True, slots=True)
class StreamEnded:
    reason: EndReason
    detail: str
    summary: MediaSummary


@dataclass(frozen=True, slots=True)
class ToolCalled:
    tool_call_id: str
    name: str
    arguments_json: str
    idempotency_key: str
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class ToolCancelled:
    tool_call_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolAnswered:
    tool_call_id: str
    name: str
    waited_ms: int
    error: str = ""
    late: bool = False
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class SessionRenewed:
    """`cause`: a value of call.continuity.Cause."""

    cause: str
    resumed: bool
    gap_ms: int
    replayed_ms: int
    tries: int
    detail: str


@dataclass(frozen=True, slots=True)
class ModelStalled:
    """Of `call.stall`, by their values. `outcome` empty: `rung` is taken now."""

    cause: str
    rung: str
    outcome: str
    silent_ms: int


Body = (
    SessionReady
    | SessionFailed
    | StreamStarted
    | TranscriptDelta
    | TranscriptSegment
    | TurnCompleted
    | Interrupted
    | DtmfReceived
    | StreamEnded
    | ToolCalled
    | ToolCancelled
    | ToolAnswered
    | SessionRenewed
    | ModelStalled
)


@dataclass(frozen=True, slots=True)
class CallEvent:
    """One event; `seq` counts 1, 2, 3, … per call and node, `at_ns` is the monotonic clock."""

    workflow_id: str
    seq: int
    at_ns: int
    offset_ms: int
    body: Body
