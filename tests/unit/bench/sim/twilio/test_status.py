"""Status over a call's life, and who is told of it."""

from __future__ import annotations

import pytest

from bench.sim.twilio.status import StatusSequence

ALL = ("initiated", "ringing", "answered", "completed")


def test_an_answered_call_tells_four_events_in_order() -> None:
    sequence = StatusSequence(ALL)
    told = [sequence.advance(status) for status in ("initiated", "ringing", "in-progress", "completed")]
    assert [t and t["CallStatus"] for t in told] == ["initiated", "ringing", "in-progress", "completed"]
    assert [t and t["SequenceNumber"] for t in told] == ["0", "1", "2", "3"]
    assert told[3] is not None
    assert told[3]["SipResponseCode"] == "200"
    assert sequence.over


def test_only_what_was_asked_for_is_told_and_counted() -> None:
    sequence = StatusSequence(("completed",))
    assert sequence.advance("initiated") is None
    assert sequence.advance("busy") == {
        "CallStatus": "busy",
        "CallbackSource": "call-progress-events",
        "SequenceNumber": "0",
        "SipResponseCode": "486",
    }


def test_the_resource_never_says_initiated() -> None:
    sequence = StatusSequence(ALL)
    assert sequence.shown == "queued"
    sequence.advance("initiated")
    assert sequence.shown == "queued"
    sequence.advance("ringing")
    assert sequence.shown == "ringing"


def test_a_call_that_is_over_or_not_dialled_can_not_change_otherwise() -> None:
    sequence = StatusSequence(ALL)
    with pytest.raises(AssertionError):
        sequence.advance("in-progress")
    sequence.advance("failed")
    with pytest.raises(AssertionError):
        sequence.advance("ringing")
