"""What event streams become: rows for Postgres, facts for the workflow."""

from __future__ import annotations

from protos.voiceplane.events.v1 import events_pb2
from protos.voiceplane.events.v1.events_pb2 import CallEvent
from workflows.contracts import StreamEnded, StreamStarted
from workflows.event_fold import EventFold

AT_MS = 1_800_000_000_250


def event(source: str = "node-1", **body: object) -> CallEvent:
    return CallEvent(source=source, at_unix_ms=AT_MS, **body)  # type: ignore[arg-type]


def ready(source: str = "node-1") -> CallEvent:
    return event(source, session_ready=events_pb2.SessionReady())


def started(source: str = "node-1") -> CallEvent:
    body = events_pb2.StreamStarted(stream_sid="MZ1", call_sid="CA1")
    return event(source, stream_started=body)


def segment(number: int, text: str = "Good morning.", speaker: int = 1) -> CallEvent:
    body = events_pb2.TranscriptSegment(
        segment_id=number,
        speaker=speaker,  # type: ignore[arg-type]
        text=text,
        start_ms=100,
        end_ms=900,
        interrupted=True,
        unheard_text=" And good\x00 day.",
    )
    return event(transcript_segment=body)


def ended(source: str = "node-1", reason: int = 1, **rest: object) -> CallEvent:
    return event(source, stream_ended=events_pb2.StreamEnded(reason=reason, **rest))  # type: ignore[arg-type]


def test_a_transcript_segment_becomes_a_row() -> None:
    fold = EventFold()
    assert fold.take("1-0", segment(4)) is None
    (row,) = fold.cut().segments
    assert (row.source, row.segment_id, row.speaker, row.text) == ("node-1", 4, "caller", "Good morning.")
    assert (row.start_ms, row.end_ms, row.interrupted) == (100, 900, True)
    assert row.unheard_text == " And good day."


def test_a_turn_becomes_a_row_with_its_unknowns_kept() -> None:
    fold = EventFold()
    turn = events_pb2.TurnCompleted(
        turn=1, caller_stopped_ms=-1, first_audio_ms=120, response_ms=-1, audio_ms=900
    )
    fold.take("1-0", event(turn_completed=turn))
    (row,) = fold.cut().turns
    assert (row.turn, row.caller_stopped_ms, row.first_audio_ms, row.response_ms) == (1, -1, 120, -1)


def test_a_nul_in_a_transcript_is_left_out_because_postgres_takes_none() -> None:
    fold = EventFold()
    fold.take("1-0", segment(1, "a\x00b"))
    assert fold.cut().segments[0].text == "ab"


def test_the_streams_start_and_end_are_told_with_their_times() -> None:
    fold = EventFold()
    assert fold.take("1-0", started()) == StreamStarted(
        "MZ1", "CA1", "node-1", "2027-01-15T08:00:00.250000+00:00"
    )
    assert fold.take("2-0", ended(reason=2, detail="reset by peer")) == StreamEnded(
        "socket_closed", "reset by peer", "node-1", "2027-01-15T08:00:00.250000+00:00"
    )
    assert fold.ended


def test_the_summary_is_kept_with_its_zeros_and_field_names() -> None:
    fold = EventFold()
    fold.take("1-0", ended(summary=events_pb2.MediaSummary(first_audio_ms=-1, setup_ms=210)))
    media = fold.cut().media
    assert media is not None
    assert (media["first_audio_ms"], media["setup_ms"], media["prewarmed"]) == ("-1", 210, False)


def test_a_reason_newer_than_this_program_comes_as_its_number() -> None:
    fact = EventFold().take("1-0", ended(reason=99))
    assert isinstance(fact, StreamEnded)
    assert fact.reason == "99"


def test_the_stream_is_at_its_end_when_every_announced_source_is() -> None:
    fold = EventFold()
    for number, source in enumerate(["node-1", "node-2"]):
        fold.take(f"{number}-0", ready(source))
    fold.take("2-0", started("node-2"))
    fold.take("3-0", ended("node-1", reason=5))
    assert not fold.ended, "node-1 gave up a session that node-2 took over"
    fold.take("4-0", ended("node-2"))
    assert fold.ended


def test_whoever_goes_on_in_the_middle_knows_which_sources_are_open() -> None:
    first = EventFold()
    first.take("1-0", ready("node-1"))
    first.take("2-0", ready("node-2"))
    second = EventFold(first.last, first.open_sources)
    second.take("3-0", ended("node-1", reason=5))
    assert not second.ended
    assert second.open_sources == ("node-2",)


def test_what_only_watchers_need_and_what_nobody_can_read_only_move_the_position() -> None:
    fold = EventFold()
    fold.take("1-0", event(transcript_delta=events_pb2.TranscriptDelta(segment_id=1, text="Go")))
    fold.take("2-0", event(dtmf_received=events_pb2.DtmfReceived(digit="5")))
    fold.take("3-0", event())
    fold.take("4-0", None)
    assert (fold.last, fold.pending) == ("4-0", 0)
    assert not fold.cut()


def test_rows_that_could_not_be_written_go_in_front_of_newer_ones() -> None:
    fold = EventFold()
    fold.take("1-0", segment(1))
    older = fold.cut()
    fold.take("2-0", segment(2))
    fold.put_back(older)
    assert fold.pending == 2
    assert [row.segment_id for row in fold.cut().segments] == [1, 2]
    assert fold.pending == 0
