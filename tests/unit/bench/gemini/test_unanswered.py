from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.gemini.unanswered import Sample, judged, slope, verdicts

CALLS = 1000
SAMPLES = [Sample(calls, 30, 5_000_000, 90_000_000, 2, 2) for calls in range(100, CALLS + 1, 100)]


def found(samples: list[Sample], **changes: Any) -> dict[str, object]:
    counted = {"unanswered": {"expired": 500, "requested": 500}, "calls_left": 0}
    return {**counted, "model_sockets_after_the_end": 0, **judged(samples), **changes}


def leaking(field: str, a_call: float) -> list[Sample]:
    return [
        replace(sample, **{field: getattr(sample, field) + int(a_call * sample.calls)}) for sample in SAMPLES
    ]


def test_a_slope_is_bytes_a_call() -> None:
    assert slope(leaking("traced_bytes", 24), "traced_bytes") == pytest.approx(24)


def test_a_node_that_stays_as_it_is_keeps_every_promise() -> None:
    assert all(verdicts(found(SAMPLES), CALLS).values())


def test_what_fills_up_during_the_first_calls_is_no_leak() -> None:
    filling = [
        replace(sample, traced_bytes=sample.traced_bytes + 500 * min(sample.calls, 300)) for sample in SAMPLES
    ]
    assert all(verdicts(found(filling), CALLS).values())


@pytest.mark.parametrize(
    ("samples", "changes"),
    [
        (leaking("traced_bytes", 20), {}),
        (leaking("resident_bytes", 600), {}),
        (leaking("files", 0.01), {}),
        ([*SAMPLES[:-1], replace(SAMPLES[-1], model_sockets=3)], {}),
        (SAMPLES, {"calls_left": 1}),
        (SAMPLES, {"model_sockets_after_the_end": 1}),
        (SAMPLES, {"unanswered": {"expired": 999}}),
    ],
    ids=["memory", "resident memory", "files", "a socket", "a call", "a socket at the end", "a call lost"],
)
def test_each_leak_breaks_exactly_one_promise(samples: list[Sample], changes: dict[str, Any]) -> None:
    assert list(verdicts(found(samples, **changes), CALLS).values()).count(False) == 1
