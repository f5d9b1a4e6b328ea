from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.domain.events import FIRST, LAST, entry_of, sequence_of, status_event
from control_plane.entrypoints.sse import written
from control_plane.service.watching import Ended, Item
from protos.voiceplane.events.v1 import events_pb2 as pb
from workflows.contracts import CallStatus

entries = st.tuples(st.integers(1_700_000_000_000, 2_190_000_000_000), st.integers(0, 4095))


@given(entries, entries)
def test_sequences_stand_in_the_order_of_their_entries_and_lead_back_to_them(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    first, second = (f"{ms}-{n}" for ms, n in (one, other))
    assert entry_of(sequence_of(first)) == first
    assert (sequence_of(first) < sequence_of(second)) == (one < other)
    assert FIRST < sequence_of(first) < LAST < 2**53


@pytest.mark.parametrize("text", ["", "1", "1-", "-1", "a-b", "1-12345", "1-1 ", "٣-1"])
def test_what_is_no_entry_has_no_sequence(text: str) -> None:
    with pytest.raises(ValueError, match="must be an entry id"):
        sequence_of(text)


def test_a_status_is_told_under_the_same_number_however_often() -> None:
    events = [status_event("call-1", status, 5) for status in CallStatus]

    assert [event.seq for event in events] == [1, 2, 3, 4, 4, 4, 4, 4]
    assert {event.source for event in events} == {"workflow"}
    assert [event.status_changed.status for event in events] == [status.value for status in CallStatus]


def test_an_event_is_one_block_of_lines() -> None:
    event = pb.CallEvent(
        source="node-1",
        at_unix_ms=1_795_000_000_000,
        offset_ms=-1,
        transcript_segment=pb.TranscriptSegment(speaker=pb.SPEAKER_CALLER, text="Hi\r\n\ndata: x\u2028"),
    )

    text = written(Item(7, "0-7", event=event)).decode()

    head, kind, data, *rest = text.split("\n")
    assert (head, kind, rest) == ("event: transcript_segment", "id: 7", ["", ""])
    assert '"speaker":"caller"' in data
    assert '"text":"Hi\\r\\n\\ndata: x' in data
    assert '"sequence":7,"type":"transcript_segment"' in data


def test_the_end_is_told_with_its_reason() -> None:
    ended = Ended(CallStatus.FAILED, "model_failed", "broke", 1.5)

    assert written(Item(LAST, ended=ended)) == (
        b"event: ended\nid: 9007199254740991\n"
        b'data: {"sequence":9007199254740991,"type":"ended","status":"failed","end_reason":"model_failed",'
        b'"error":"broke","duration_seconds":1.5}\n\n'
    )
