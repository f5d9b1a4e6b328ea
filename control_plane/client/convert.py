"""Between the client's dataclasses and protobuf."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.timestamp_pb2 import Timestamp

from control_plane.client import models
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings
from protos.voiceplane.calls.v1 import calls_pb2 as pb
from protos.voiceplane.events.v1 import events_pb2 as events

_SPEAKERS = {events.SPEAKER_CALLER: "caller", events.SPEAKER_AGENT: "agent"}


def new_call(call: models.NewCall, idempotency_key: str) -> pb.CreateCallRequest:
    """Raises google.protobuf.json_format.ParseError: `agent` has a field that there is none of."""
    return pb.CreateCallRequest(
        phone_number=call.phone_number,
        greeting=call.greeting,
        greeting_mode=call.greeting_mode,
        system_prompt=call.system_prompt,
        max_duration_seconds=call.max_duration_seconds,
        idempotency_key=idempotency_key,
        tools_json=json.dumps(call.tools) if call.tools else "",
        agent=ParseDict(call.agent, AgentSettings()) if call.agent else None,
        agent_name=call.agent_name,
        agent_version=call.agent_version,
        variables=call.variables,
    )


def created(answer: pb.CreateCallResponse) -> models.CreatedCall:
    return models.CreatedCall(answer.workflow_id, answer.run_id, answer.phone_number, status(answer.status))


def call(answer: pb.Call) -> models.Call:
    return models.Call(
        workflow_id=answer.workflow_id,
        status=status(answer.status),
        phone_number=answer.phone_number,
        greeting=answer.greeting,
        transcript_count=answer.transcript_count,
        created_at=_moment(answer, "created_at"),
        answered_at=_moment(answer, "answered_at"),
        ended_at=_moment(answer, "ended_at"),
        end_reason=answer.end_reason,
        duration_seconds=answer.duration_seconds,
        agent_name=answer.agent_name,
    )


def page(answer: pb.ListCallsResponse) -> models.CallPage:
    return models.CallPage([call(each) for each in answer.calls], answer.next_page_token)


def filters(
    *,
    statuses: tuple[models.CallStatus, ...],
    phone_number: str,
    agent_name: str,
    created_after: datetime | None,
    created_before: datetime | None,
    page_size: int,
    page_token: str,
) -> pb.ListCallsRequest:
    return pb.ListCallsRequest(
        page_size=page_size,
        page_token=page_token,
        statuses=[pb.CallStatus.Value(f"CALL_STATUS_{each.name}") for each in statuses],
        phone_number=phone_number,
        agent_name=agent_name,
        created_after=_timestamp(created_after),
        created_before=_timestamp(created_before),
    )


def result(answer: pb.CallResult) -> models.CallResult:
    return models.CallResult(
        workflow_id=answer.workflow_id,
        status=status(answer.status),
        end_reason=answer.end_reason,
        duration_seconds=answer.duration_seconds,
        transcript=[_line(each) for each in answer.transcript],
        turns=[_turn(each) for each in answer.turns],
    )


def item(answer: pb.WatchCallResponse) -> models.Item:
    sequence = answer.sequence
    match answer.WhichOneof("item"):
        case "status":
            return models.StatusReached(sequence, status(answer.status))
        case "ended":
            how = answer.ended
            return models.Ended(sequence, status(how.status), how.end_reason, how.error, how.duration_seconds)
        case _:
            return _event(sequence, answer.event)


def status(value: int) -> models.CallStatus:
    try:
        return models.CallStatus[pb.CallStatus.Name(value).removeprefix("CALL_STATUS_")]  # type: ignore[arg-type]
    except (KeyError, ValueError):
        return models.CallStatus.UNKNOWN


def _event(sequence: int, event: events.CallEvent) -> models.Item:
    kind = event.WhichOneof("body") or ""
    match kind:
        case "transcript_delta":
            delta = event.transcript_delta
            return models.Delta(sequence, delta.segment_id, _speaker(delta.speaker), delta.text)
        case "transcript_segment":
            segment = event.transcript_segment
            return models.Segment(sequence, segment.segment_id, _line(segment))
        case "turn_completed":
            return models.TurnDone(sequence, _turn(event.turn_completed))
        case "":  # newer than this client
            return models.Event(sequence, "unknown", event.offset_ms, {})
        case _:
            data: dict[str, Any] = MessageToDict(getattr(event, kind), preserving_proto_field_name=True)
            return models.Event(sequence, kind, event.offset_ms, data)


def _line(line: pb.TranscriptLine | events.TranscriptSegment) -> models.TranscriptLine:
    return models.TranscriptLine(
        speaker=_speaker(line.speaker),
        text=line.text,
        start_ms=line.start_ms,
        end_ms=line.end_ms,
        interrupted=line.interrupted,
        unheard_text=line.unheard_text,
    )


def _turn(turn: events.TurnCompleted) -> models.Turn:
    return models.Turn(
        turn=turn.turn,
        caller_stopped_ms=turn.caller_stopped_ms,
        first_audio_ms=turn.first_audio_ms,
        response_ms=turn.response_ms,
        audio_ms=turn.audio_ms,
        interrupted=turn.interrupted,
    )


def _speaker(value: events.Speaker.ValueType) -> str:
    return _SPEAKERS.get(value, "unknown")


def _moment(answer: pb.Call, name: str) -> datetime | None:
    if not answer.HasField(name):  # type: ignore[arg-type]
        return None
    moment: datetime = getattr(answer, name).ToDatetime(tzinfo=UTC)
    return moment


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
