"""Calls per second, by virtual time."""

from __future__ import annotations

import pytest

from bench.sim.twilio.cps import MAX_QUEUE_NS, CallsPerSecond, QueueFull

SECOND = 1_000_000_000


def test_calls_are_dialled_a_second_apart() -> None:
    cps = CallsPerSecond(1)
    assert [cps.reserve(10 * SECOND) for _ in range(3)] == [10 * SECOND, 11 * SECOND, 12 * SECOND]
    assert cps.reserve(12 * SECOND + 1) == 13 * SECOND
    assert cps.reserve(20 * SECOND) == 20 * SECOND


def test_a_rate_of_zero_does_not_queue() -> None:
    cps = CallsPerSecond(0)
    assert [cps.reserve(5) for _ in range(3)] == [5, 5, 5]


def test_a_queue_of_more_than_a_day_is_full() -> None:
    cps = CallsPerSecond(1 / 3600)
    for _ in range(25):
        assert cps.reserve(0) <= MAX_QUEUE_NS
    with pytest.raises(QueueFull):
        cps.reserve(0)
