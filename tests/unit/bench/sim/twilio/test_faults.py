"""Arming faults and being struck by them."""

from __future__ import annotations

import pytest

from bench.sim.twilio.faults import FaultError, Faults


def test_a_fault_strikes_the_next_call_once() -> None:
    faults = Faults(1)
    faults.arm({"fault": "clear_keeps_marks"})
    assert faults.strike("clear_keeps_marks", "CA1") == {}
    assert faults.strike("clear_keeps_marks", "CA1") is None
    assert faults.armed() == []


def test_a_fault_for_the_next_call_stays_with_it() -> None:
    faults = Faults(1)
    faults.arm({"fault": "status_drop", "times": 2})
    assert faults.strike("status_drop", "CA1", event="ringing") is not None
    assert faults.strike("status_drop", "CA2", event="ringing") is None
    assert faults.strike("status_drop", "CA1", event="answered") is not None
    assert faults.strike("status_drop", "CA1", event="completed") is None


def test_a_fault_for_all_strikes_without_end_and_only_where_it_says() -> None:
    faults = Faults(1)
    faults.arm({"fault": "api_error", "code": 20429, "on": "create", "call": "all"})
    assert faults.strike("api_error", on="fetch") is None
    assert [faults.strike("api_error", on="create") for _ in range(3)] == [
        {"code": 20429, "on": "create"}
    ] * 3


def test_a_probability_is_drawn_from_the_seed() -> None:
    def hits(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.arm({"fault": "status_duplicate", "call": "all", "probability": 0.5})
        return [faults.strike("status_duplicate", "CA", event="x") is not None for _ in range(100)]

    assert hits(1) == hits(1) != hits(2)
    assert 30 < sum(hits(1)) < 70


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ([], "object"),
        ({"fault": "earthquake"}, "fault"),
        ({"fault": "api_error", "code": "20429"}, "code"),
        ({"fault": "stream_drop", "before_ms": 3}, "before_ms"),
        ({"fault": "stream_drop", "times": 0}, "times"),
        ({"fault": "stream_drop", "call": 7}, "call"),
        ({"fault": "stream_drop", "probability": 2}, "probability"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(data: object, names: str) -> None:
    with pytest.raises(FaultError, match=names):
        Faults(1).arm(data)
