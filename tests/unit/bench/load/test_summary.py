"""Runs made into figures and rows, on made-up runs."""

import json
from dataclasses import replace

import pytest

from bench.figures import PRODUCT
from bench.load import delays, summary
from bench.load.generator import LegResult, RunResult
from bench.load.summary import Series

MS = 1_000_000


def leg(delay_ms: float = 1, lost: int = 0, heard: int = 100) -> LegResult:
    return LegResult(delays.encode([int(delay_ms * MS)] * heard), heard, 0, 1.5, 1000, lost, 0, 0.0)


def run(delay_ms: float = 1, lost: int = 0, heard: int = 100) -> RunResult:
    up, down = leg(delay_ms, lost, heard), leg()
    return RunResult(10, 2.0, up, down, 40 * MS, 0.0, 1000, MS, 2 * MS, 0.5, [])


CARRIED = run()
DROWNED = run(delay_ms=1000, lost=40, heard=60)
DEAF = replace(run(heard=0, lost=100), trouble=["10 calls' sessions stayed open"])


def values(by_system: dict[str, RunResult], key: str) -> dict[str, float]:
    series = {name: Series(None, [result]) for name, result in by_system.items()}
    found = {figure.key: figure.values for figure in summary.figures(series, 10)}
    return dict(found.get(f"{key}@10", {}))


def test_an_overloaded_reference_is_told_by_what_it_lost_and_compared_with_in_nothing_else() -> None:
    systems = {PRODUCT: CARRIED, "sdk_bridge": DROWNED, "relay": CARRIED}
    assert set(values(systems, "cpu_ms_per_call_s")) == {PRODUCT, "relay"}
    assert set(values(systems, "delay_up_p99_ms")) == {PRODUCT, "relay"}
    assert values(systems, "bursts_lost_up") == {PRODUCT: 0, "sdk_bridge": 40, "relay": 0}


def test_a_product_that_is_overloaded_is_not_spared() -> None:
    assert values({PRODUCT: DROWNED, "relay": CARRIED}, "delay_up_p99_ms") == {
        PRODUCT: pytest.approx(1000, rel=1e-3),
        "relay": pytest.approx(1, rel=1e-3),
    }


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (CARRIED, ""),
        (DROWNED, "40% not heard up, 1000 ms behind up"),
        (DEAF, "10 calls' sessions stayed open, 100% not heard up"),
    ],
)
def test_an_overload_is_told_in_words(result: RunResult, why: str) -> None:
    assert summary.overload(result) == why


@pytest.mark.parametrize("result", [CARRIED, DROWNED, DEAF])
def test_rows_and_records_can_be_written_as_json(result: RunResult) -> None:
    json.dumps(summary.row("relay", 10, Series(None, [result])), allow_nan=False)
    json.dumps(summary.record("relay", result), allow_nan=False)


def test_a_level_that_carried_nothing_is_a_row_of_its_own() -> None:
    row = summary.row("sdk_bridge", 400, Series(None), "no audio both ways in 400 calls")
    assert row["carried"] == "overloaded: no audio both ways in 400 calls"


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (replace(CARRIED, late_p99_ns=4 * MS), "late"),
        (replace(CARRIED, wait_share=0.2), "waited"),
        (replace(CARRIED, load_cpu_share=0.9), "load used"),
    ],
)
def test_a_run_in_which_load_or_machine_were_the_limit_is_doubted(result: RunResult, words: str) -> None:
    assert not summary.doubts("relay", Series(None, [CARRIED]))
    (doubt,) = summary.doubts("relay", Series(None, [CARRIED, result]))
    assert words in doubt
