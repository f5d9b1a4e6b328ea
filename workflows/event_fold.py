"""What a call's event stream means to Postgres and to the workflow. Pure: entries in, rows and facts out."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.json_format import MessageToDict

from control_plane.service.ports import Batch, Segment, Turn
from protos.voiceplane.events.v1 import events_pb2
from protos.voiceplane.events.v1.events_pb2 import CallEvent
from workflows.contracts import StreamEnded, StreamStarted

Fact = StreamStarted | StreamEnded

_SPEAKERS = {events_pb2.SPEAKER_CALLER: "caller", events_pb2.SPEAKER_AGENT: "agent"}
_END_REASON = "STREAM_END_REASON_"


class EventFold:
    """Collects rows until `cut`, tells coarse facts at once, and knows when the stream is at its end.

    A call's stream may hold the events of several sources: media nodes that prepared a session for it. It is
    at its end when one has ended and every other one that announced itself has, too.

    Args:
        last: the entry after which to go on; "0-0" for all of them.
        open_sources: those that had announced themselves by then, and not ended.
    """

    def __init__(self, last: str = "0-0", open_sources: tuple[str, ...] = ()) -> None:
        self.last = last  # entry id read last
        self.ended = False
        self._open = set(open_sources)
        self._batch = Batch()

    @property
    def open_sources(self) -> tuple[str, ...]:
        return tuple(sorted(self._open))

    @property
    def pending(self) -> int:
        """Rows not yet cut."""
        return len(self._batch.segments) + len(self._batch.turns) + (self._batch.media is not None)

    def take(self, entry_id: str, event: CallEvent | None) -> Fact | None:
        """Take one entry; answer what the workflow must hear of it. `event` None: nothing readable there."""
        self.last = entry_id
        if event is None:
            return None
        match event.WhichOneof("body"):
            case "session_ready":
                self._open.add(event.source)
            case "stream_started":
                self._open.add(event.source)
                return StreamStarted(
                    stream_sid=event.stream_started.stream_sid,
                    call_sid=event.stream_started.call_sid,
                    source=event.source,
                    at=_at(event),
                )
            case "transcript_segment":
                self._batch.segments.append(_segment(event))
            case "turn_completed":
                self._batch.turns.append(_turn(event))
            case "stream_ended":
                self._open.discard(event.source)
                self.ended = not self._open
                ended = event.stream_ended
                if ended.HasField("summary"):
                    self._batch.media = MessageToDict(
                        ended.summary,
                        preserving_proto_field_name=True,
                        always_print_fields_with_no_presence=True,
                    )
                return StreamEnded(
                    reason=_reason(ended.reason), detail=ended.detail, source=event.source, at=_at(event)
                )
            case _:
                pass  # deltas, key presses, interruptions: for those who watch live
        return None

    def cut(self) -> Batch:
        """The rows since the last cut."""
        batch, self._batch = self._batch, Batch()
        return batch

    def put_back(self, batch: Batch) -> None:
        """Rows that could not be written go in front of those read since."""
        newer = self._batch
        self._batch = Batch(
            segments=batch.segments + newer.segments,
            turns=batch.turns + newer.turns,
            media=newer.media if newer.media is not None else batch.media,
        )


def _segment(event: CallEvent) -> Segment:
    segment = event.transcript_segment
    return Segment(
        source=event.source,
        segment_id=segment.segment_id,
        speaker=_SPEAKERS.get(segment.speaker, "agent"),
        # Postgres takes no NUL in text; one from a confused model must not hold up the whole transcript.
        text=segment.text.replace("\x00", ""),
        start_ms=segment.start_ms,
        end_ms=segment.end_ms,
        interrupted=segment.interrupted,
        unheard_text=segment.unheard_text.replace("\x00", ""),
    )


def _turn(event: CallEvent) -> Turn:
    turn = event.turn_completed
    return Turn(
        source=event.source,
        turn=turn.turn,
        caller_stopped_ms=turn.caller_stopped_ms,
        first_audio_ms=turn.first_audio_ms,
        response_ms=turn.response_ms,
        audio_ms=turn.audio_ms,
        interrupted=turn.interrupted,
    )


def _reason(reason: events_pb2.StreamEndReason.ValueType) -> str:
    """`STREAM_END_REASON_SOCKET_CLOSED` is `socket_closed`; one newer than this program is its number."""
    try:
        return events_pb2.StreamEndReason.Name(reason).removeprefix(_END_REASON).lower()
    except ValueError:
        return str(reason)


def _at(event: CallEvent) -> str:
    return datetime.fromtimestamp(event.at_unix_ms / 1000, UTC).isoformat()
