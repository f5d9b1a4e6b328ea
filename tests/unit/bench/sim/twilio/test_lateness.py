"""The histogram of lateness."""

from __future__ import annotations

from bench.sim.twilio.lateness import Lateness


def test_percentiles_are_upper_bounds_and_the_maximum_is_exact() -> None:
    it = Lateness()
    for _ in range(98):
        it.add(120_000)
    it.add(4_100_000)
    it.add(250_123_000)
    assert it.shown() == {"p50": 0.2, "p99": 5.0, "max": 250.123, "frames": 100}


def test_early_is_on_time() -> None:
    it = Lateness()
    it.add(-1_000_000)
    assert it.shown() == {"p50": 0.0, "p99": 0.0, "max": 0.0, "frames": 1}
