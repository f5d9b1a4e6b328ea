from __future__ import annotations

import pytest

from bench.gemini.first_word import p99, summary


def test_the_99th_percentile_of_200_calls_is_all_but_the_two_slowest() -> None:
    assert p99([float(value) for value in range(1, 201)]) == 198


def test_of_few_calls_it_is_the_slowest() -> None:
    assert p99([3.0, 1.0, 2.0]) == 3


@pytest.mark.parametrize(
    ("warm_ms", "cold_ms", "met"),
    [(50.0, 1200.0, True), (61.0, 1200.0, False), (50.0, 700.0, False)],
    ids=["both bars", "more than three frames", "less than 15 times faster"],
)
def test_both_bars_must_be_met(warm_ms: float, cold_ms: float, met: bool) -> None:
    found = summary({"warm": [warm_ms] * 10, "pooled": [900.0], "cold": [cold_ms] * 3})
    assert found["met"] is met
