"""Answers of CallService, out of what the handlers return."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from control_plane.service.ports import CallRow, Segment, Turn
from control_plane.service.watching import Ended
from protos.voiceplane.calls.v1 import calls_pb2 as pb
from protos.voiceplane.events.v1 import events_pb2 as events
from workflows.contracts import CallStatus

_SPEAKERS = {"caller": events.SPEAKER_CALLER, "agent": events.SPEAKER_AGENT}


def status_of(status: CallStatus) -> pb.CallStatus.ValueType:
    return pb.CallStatus.Value(f"CALL_STATUS_{status.name}")


def call_of_row(row: CallRow) -> pb.Call:
    return pb.Call(
        workflow_id=row.workflow_id,
        status=status_of(CallStatus(row.status)),
        phone_number=row.phone_number,
        greeting=row.greeting,
        created_at=_timestamp(row.created_at),
        answered_at=_timestamp(row.answered_at),
        ended_at=_timestamp(row.ended_at),
        end_reason=row.end_reason,
        duration_seconds=row.duration_seconds,
        agent_name=row.agent_name,
        agent_version=row.agent_version,
    )


def ended(how: Ended) -> pb.CallEnded:
    return pb.CallEnded(
        status=status_of(how.status),
        end_reason=how.end_reason,
        error=how.error,
        duration_seconds=how.duration_seconds,
    )


def line(segment: Segment) -> pb.TranscriptLine:
    return pb.TranscriptLine(
        speaker=_SPEAKERS.get(segment.speaker, events.SPEAKER_UNSPECIFIED),
        text=segment.text,
        start_ms=segment.start_ms,
        end_ms=segment.end_ms,
        interrupted=segment.interrupted,
        unheard_text=segment.unheard_text,
    )


def turn(done: Turn) -> events.TurnCompleted:
    return events.TurnCompleted(
        turn=done.turn,
        caller_stopped_ms=done.caller_stopped_ms,
        first_audio_ms=done.first_audio_ms,
        response_ms=done.response_ms,
        audio_ms=done.audio_ms,
        interrupted=done.interrupted,
    )


def _timestamp(iso: str) -> Timestamp | None:
    if not iso:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(datetime.fromisoformat(iso))
    return timestamp
