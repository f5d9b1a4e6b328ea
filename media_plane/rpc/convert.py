"""Events of the media plane as protobuf messages (voiceplane/events/v1)."""

from __future__ import annotations

from typing import assert_never

from media_plane.wire import events
from protos.voiceplane.events.v1 import events_pb2 as pb


def latency(value: events.Latency) -> pb.LatencySummary:
    return pb.LatencySummary(
        frames=value.frames, p50_us=value.p50_us, p99_us=value.p99_us, max_us=value.max_us
    )


def summary(value: events.MediaSummary) -> pb.MediaSummary:
    return pb.MediaSummary(
        uplink=latency(value.uplink),
        downlink=latency(value.downlink),
        first_audio_ms=value.first_audio_ms,
        caller_audio_ms=value.caller_audio_ms,
        agent_audio_ms=value.agent_audio_ms,
        dropped_frames=value.dropped_frames,
        interruptions=value.interruptions,
        setup_ms=value.setup_ms,
        prewarmed=value.prewarmed,
        prompt_tokens=value.prompt_tokens,
        response_tokens=value.response_tokens,
    )


def call_event(event: events.CallEvent, *, source: str, epoch_ns: int) -> pb.CallEvent:
    """`event` for the stream. `epoch_ns`: wall clock minus monotonic clock; it makes a date of `at_ns`."""
    message = pb.CallEvent(
        workflow_id=event.workflow_id,
        source=source,
        seq=event.seq,
        at_unix_ms=(event.at_ns + epoch_ns) // 1_000_000,
        offset_ms=event.offset_ms,
    )
    _fill(message, event.body)
    return message


def _fill(message: pb.CallEvent, body: events.Body) -> None:
    match body:
        case events.TranscriptDelta():
            delta = message.transcript_delta
            delta.segment_id, delta.text = body.segment_id, body.text
            delta.speaker = pb.Speaker.ValueType(body.speaker)
        case events.TranscriptSegment():
            segment = message.transcript_segment
            segment.segment_id, segment.text = body.segment_id, body.text
            segment.speaker = pb.Speaker.ValueType(body.speaker)
            segment.start_ms, segment.end_ms = body.start_ms, body.end_ms
            segment.interrupted, segment.unheard_text = body.interrupted, body.unheard_text
        case events.TurnCompleted():
            turn = message.turn_completed
            turn.turn, turn.audio_ms, turn.interrupted = body.turn, body.audio_ms, body.interrupted
            turn.caller_stopped_ms, turn.first_audio_ms = body.caller_stopped_ms, body.first_audio_ms
            turn.response_ms = body.response_ms
        case events.Interrupted():
            cut = message.interrupted
            cut.turn, cut.discarded_ms, cut.flush_us = body.turn, body.discarded_ms, body.flush_us
        case events.DtmfReceived():
            message.dtmf_received.digit = body.digit
        case events.SessionReady():
            ready = message.session_ready
            ready.connect_ms, ready.setup_ms, ready.model = body.connect_ms, body.setup_ms, body.model
        case events.SessionFailed():
            failed = message.session_failed
            failed.close_code, failed.reason = body.close_code, body.reason
            failed.retryable = body.retryable
        case events.StreamStarted():
            started = message.stream_started
            started.stream_sid, started.call_sid = body.stream_sid, body.call_sid
        case events.StreamEnded():
            ended = message.stream_ended
            ended.reason, ended.detail = pb.StreamEndReason.ValueType(body.reason), body.detail
            ended.summary.CopyFrom(summary(body.summary))
        case events.ToolCalled():
            called = message.tool_called
            called.tool_call_id, called.name = body.tool_call_id, body.name
            called.arguments_json, called.idempotency_key = body.arguments_json, body.idempotency_key
            called.timeout_ms = body.timeout_ms
        case events.ToolCancelled():
            cancelled = message.tool_cancelled
            cancelled.tool_call_id, cancelled.name = body.tool_call_id, body.name
        case events.ToolAnswered():
            answered = message.tool_answered
            answered.tool_call_id, answered.name = body.tool_call_id, body.name
            answered.waited_ms, answered.error = body.waited_ms, body.error
            answered.late, answered.repeated = body.late, body.repeated
        case events.SessionRenewed():
            renewed = message.session_renewed
            renewed.cause, renewed.resumed, renewed.detail = body.cause, body.resumed, body.detail
            renewed.gap_ms, renewed.replayed_ms = body.gap_ms, body.replayed_ms
            renewed.tries = body.tries
        case events.ModelStalled():
            stalled = message.model_stalled
            stalled.cause, stalled.rung, stalled.outcome = body.cause, body.rung, body.outcome
            stalled.silent_ms = body.silent_ms
        case _:
            assert_never(body)
