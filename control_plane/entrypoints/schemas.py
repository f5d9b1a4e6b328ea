"""The JSON bodies of the REST API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from control_plane.domain import calls
from control_plane.entrypoints.agent_schema import Agent
from control_plane.service.handlers import Created, Terminated
from control_plane.service.health import Health
from control_plane.service.ports import Segment, Turn
from control_plane.service.views import CallOutcome, CallState, response_times
from control_plane.tools.definitions import Definitions
from protos.voiceplane.events.v1.events_pb2 import LatencySummary, MediaSummary
from workflows.contracts import CallStatus


class CreateCallBody(BaseModel):
    """A call to make. Unknown fields and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    phone_number: Annotated[str, AfterValidator(calls.phone_number)] = Field(
        description="whom to call: E.164", examples=["+15551234567"]
    )
    system_prompt: Annotated[str, AfterValidator(calls.system_prompt)] = Field(
        description="what the agent is and does; 1 to 32768 bytes", examples=["You are a friendly assistant."]
    )
    greeting: Annotated[str, AfterValidator(calls.greeting)] = Field(
        default="",
        description="what the agent says first, at most 4096 bytes; empty: it waits for the callee",
        examples=["Hello! How can I help you today?"],
    )
    greeting_mode: Annotated[str, AfterValidator(calls.greeting_mode)] = Field(
        default="",
        description="immediate: the greeting is heard as soon as the callee picks up; after_hello: when he "
        "has spoken, or after a short silence; none: never. Empty: immediate",
        examples=["after_hello"],
    )
    max_duration_seconds: Annotated[int, AfterValidator(calls.max_duration_seconds)] = Field(
        default=calls.DEFAULT_DURATION_SECONDS, description="1 to 14400", examples=[1800]
    )
    tools: Definitions = Field(default=[], description="functions the agent may call (docs/tools.md)")

    agent: Agent = Field(default=Agent(), description="what the call asks of its model (docs/models.md)")

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

    def new_call(self) -> calls.NewCall:
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return calls.NewCall(**fields | {"agent": self.agent.settings()})


class CreatedCall(BaseModel):
    workflow_id: str
    run_id: str
    phone_number: str
    status: CallStatus

    @classmethod
    def of(cls, created: Created) -> CreatedCall:
        return cls(
            workflow_id=created.workflow_id,
            run_id=created.run_id,
            phone_number=created.phone_number,
            status=created.status,
        )


class CallConfig(BaseModel):
    phone_number: str
    greeting: str
    system_prompt: str
    max_duration_seconds: int


class Call(BaseModel):
    workflow_id: str
    status: CallStatus
    transcript_count: int
    call_config: CallConfig

    @classmethod
    def of(cls, call: CallState) -> Call:
        return cls(
            workflow_id=call.workflow_id,
            status=call.status,
            transcript_count=call.transcript_count,
            call_config=CallConfig(
                phone_number=call.phone_number,
                greeting=call.greeting,
                system_prompt=call.system_prompt,
                max_duration_seconds=call.max_duration_seconds,
            ),
        )


class TerminatedCall(BaseModel):
    workflow_id: str
    status: CallStatus = Field(description="when the request was taken; the call ends a moment later")

    @classmethod
    def of(cls, terminated: Terminated) -> TerminatedCall:
        return cls(workflow_id=terminated.workflow_id, status=terminated.status)


class TranscriptLine(BaseModel):
    speaker: str = Field(description="caller or agent")
    text: str
    start_ms: int = Field(description="since the media stream started")
    end_ms: int
    interrupted: bool = Field(description="the agent was cut off by the caller")
    unheard_text: str = Field(description="said by the agent but not heard; `text` is what was heard")

    @classmethod
    def of(cls, segment: Segment) -> TranscriptLine:
        return cls(
            speaker=segment.speaker,
            text=segment.text,
            start_ms=segment.start_ms,
            end_ms=segment.end_ms,
            interrupted=segment.interrupted,
            unheard_text=segment.unheard_text,
        )


class TurnLine(BaseModel):
    """One answer of the agent; milliseconds since the media stream started, -1: not known."""

    turn: int
    caller_stopped_ms: int
    first_audio_ms: int
    response_ms: int
    audio_ms: int
    interrupted: bool

    @classmethod
    def of(cls, turn: Turn) -> TurnLine:
        return cls(
            turn=turn.turn,
            caller_stopped_ms=turn.caller_stopped_ms,
            first_audio_ms=turn.first_audio_ms,
            response_ms=turn.response_ms,
            audio_ms=turn.audio_ms,
            interrupted=turn.interrupted,
        )


class FrameLatency(BaseModel):
    """Time a frame spent in the media plane, socket to socket, microseconds."""

    frames: int
    p50_us: int
    p99_us: int
    max_us: int

    @classmethod
    def of(cls, summary: LatencySummary) -> FrameLatency:
        return cls(frames=summary.frames, p50_us=summary.p50_us, p99_us=summary.p99_us, max_us=summary.max_us)


class ResponseTime(BaseModel):
    """Caller's last sound to the answer's first, milliseconds; null: nothing was answered."""

    turns: int
    p50_ms: int | None
    max_ms: int | None


class Latency(BaseModel):
    uplink: FrameLatency = Field(description="Twilio to model")
    downlink: FrameLatency = Field(description="model to Twilio")
    first_audio_ms: int = Field(description="stream start to the agent's first audio; -1: never")
    setup_ms: int = Field(description="opening the model's session")
    prewarmed: bool = Field(description="the session was ready before the stream started")
    response: ResponseTime


class Media(BaseModel):
    caller_audio_ms: int
    agent_audio_ms: int
    dropped_frames: int
    interruptions: int
    prompt_tokens: int
    response_tokens: int

    @classmethod
    def of(cls, summary: MediaSummary) -> Media:
        return cls(**{name: getattr(summary, name) for name in cls.model_fields})


class CallResult(BaseModel):
    workflow_id: str
    status: CallStatus
    end_reason: str
    error: str = Field(description="why the call failed; empty otherwise")
    phone_number: str
    created_at: str
    answered_at: str = Field(description="ISO 8601, UTC; empty: never")
    ended_at: str
    duration_seconds: float = Field(description="answered until ended")
    transcript: list[TranscriptLine]
    turns: list[TurnLine]
    latency: Latency | None = Field(description="null: no media leg ever ended for this call")
    media: Media | None

    @classmethod
    def of(cls, outcome: CallOutcome) -> CallResult:
        row = outcome.row
        return cls(
            workflow_id=row.workflow_id,
            status=outcome.status,
            end_reason=row.end_reason,
            error=row.error,
            phone_number=row.phone_number,
            created_at=row.created_at,
            answered_at=row.answered_at,
            ended_at=row.ended_at,
            duration_seconds=row.duration_seconds,
            transcript=[TranscriptLine.of(segment) for segment in outcome.transcript],
            turns=[TurnLine.of(turn) for turn in outcome.turns],
            latency=_latency(outcome.media, outcome.turns) if outcome.media is not None else None,
            media=Media.of(outcome.media) if outcome.media is not None else None,
        )


def _latency(media: MediaSummary, turns: Sequence[Turn]) -> Latency:
    times = response_times(turns)
    return Latency(
        uplink=FrameLatency.of(media.uplink),
        downlink=FrameLatency.of(media.downlink),
        first_audio_ms=media.first_audio_ms,
        setup_ms=media.setup_ms,
        prewarmed=media.prewarmed,
        response=ResponseTime(turns=times.turns, p50_ms=times.p50_ms, max_ms=times.max_ms),
    )


class Dependency(BaseModel):
    ok: bool
    latency_ms: float
    detail: str
    critical: bool = Field(description="without it nobody can be served")


class HealthReport(BaseModel):
    status: str = Field(description="ok, degraded (something that is not critical is away) or unavailable")
    dependencies: dict[str, Dependency]

    @classmethod
    def of(cls, health: Health) -> HealthReport:
        return cls(
            status=health.status,
            dependencies={
                name: Dependency(
                    ok=found.ok, latency_ms=found.latency_ms, detail=found.detail, critical=found.critical
                )
                for name, found in health.checks.items()
            },
        )
