"""What the workflow's activities write, made up."""

from __future__ import annotations

from control_plane.service.ports import Segment, Session, Turn
from workflows.contracts import CallParams, CallStatus, EndReason, FinishCall, RecordStatus

CREATED_AT = "2026-11-22T00:00:00+00:00"
ANSWERED_AT = "2026-11-22T00:00:05+00:00"
ENDED_AT = "2026-11-22T00:01:05+00:00"


def params(workflow_id: str) -> CallParams:
    return CallParams(
        workflow_id=workflow_id,
        call_id=workflow_id.removeprefix("call-"),
        phone_number="+15551234567",
        greeting="Hello.",
        system_prompt="You are kind.",
        max_duration_seconds=300,
        stream_token="t" * 32,
        created_at=CREATED_AT,
    )


def session(workflow_id: str, *, status: str = "initiated", stream_url: str = "") -> Session:
    return Session(
        call_id=workflow_id.removeprefix("call-"),
        workflow_id=workflow_id,
        phone_number="+15551234567",
        greeting="Hello.",
        system_prompt="You are kind.",
        status=status,
        stream_sid="",
        created_at=CREATED_AT,
        stream_url=stream_url,
        max_duration_seconds=300,
    )


def recorded(
    workflow_id: str,
    status: CallStatus = CallStatus.IN_PROGRESS,
    *,
    run_id: str = "run-1",
    call_sid: str = "CA1",
    stream_sid: str = "",
    answered_at: str = "",
) -> RecordStatus:
    return RecordStatus(
        params=params(workflow_id),
        run_id=run_id,
        status=status,
        call_sid=call_sid,
        stream_sid=stream_sid,
        answered_at=answered_at,
    )


def finished(
    workflow_id: str,
    status: CallStatus = CallStatus.COMPLETED,
    end_reason: EndReason = EndReason.CALLER_HANGUP,
    *,
    error: str = "",
    duration_seconds: float = 60.0,
    ended_at: str = ENDED_AT,
) -> FinishCall:
    return FinishCall(
        params=params(workflow_id),
        run_id="run-1",
        status=status,
        end_reason=end_reason,
        error=error,
        call_sid="CA1",
        answered_at=ANSWERED_AT,
        ended_at=ended_at,
        duration_seconds=duration_seconds,
    )


def segment(
    segment_id: int,
    *,
    source: str = "node-1",
    speaker: str = "agent",
    text: str = "Hello.",
    start_ms: int = 0,
    end_ms: int = 900,
    interrupted: bool = False,
    unheard_text: str = "",
) -> Segment:
    return Segment(source, segment_id, speaker, text, start_ms, end_ms, interrupted, unheard_text)


def turn(number: int, *, source: str = "node-1", response_ms: int = 800) -> Turn:
    return Turn(
        source=source,
        turn=number,
        caller_stopped_ms=1000 * number,
        first_audio_ms=1000 * number + response_ms,
        response_ms=response_ms,
        audio_ms=1500,
        interrupted=False,
    )
