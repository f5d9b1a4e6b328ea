"""The search for the most calls, on made-up runs; once on real processes."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.load import ceiling, delays
from bench.load.ceiling import Plan, Search
from bench.load.generator import LegResult, RunResult

MS = 1_000_000
PLAN = Plan(first=50, cap=800, precision=0.05, tries=1, settle_s=0, measure_s=0, seconds=60)


def leg(delay_ms: float = 1, lost: int = 0) -> LegResult:
    histogram = delays.encode([int(delay_ms * MS)] * 100)
    return LegResult(histogram, 100, 0, 1.5, 1000, lost, 0, 0.0)


def run(calls: int = 10, *, up: LegResult | None = None, down: LegResult | None = None) -> RunResult:
    return RunResult(calls, 1.0, up or leg(), down or leg(), 1, 0.0, 1, MS, MS, 0.5, [])


def searched(limit: int, plan: Plan = PLAN) -> Search:
    """Of a system that carries `limit` calls and falls behind with more."""
    search = Search(plan, "any")
    while (calls := search.next_calls()) is not None:
        search.ran(run(calls, up=leg(1 if calls <= limit else 100)))
    return search


@pytest.mark.parametrize("limit", [7, 50, 93, 180, 399, 512, 790])
def test_the_ceiling_is_found_to_within_its_precision(limit: int) -> None:
    search = searched(limit)
    assert search.carried <= limit
    assert limit - search.carried <= max(1, limit * 0.06)
    assert search.row()["limited_by"] == "delay"


def test_a_system_that_carries_all_there_is_is_limited_by_the_cap() -> None:
    row = searched(10_000).row()
    assert (row["calls"], row["limited_by"], row["load_limited"]) == (800, "cap", False)


def test_one_hiccup_does_not_settle_a_level() -> None:
    search = Search(replace(PLAN, tries=2), "any")
    assert search.next_calls() == 50
    search.ran(run(50, up=leg(100)))
    assert search.next_calls() == 50
    search.ran(run(50))
    assert (search.carried, search.too_many) == (50, None)


def test_a_level_that_the_machine_disturbed_is_run_again_but_not_for_ever() -> None:
    search = Search(PLAN, "any")
    for _ in range(ceiling.HICCUPS):
        assert search.next_calls() == 50
        search.ran(replace(run(50, up=leg(100)), late_p99_ns=9 * MS, load_cpu_share=0.1))
    assert (search.too_many, search.disturbed) == (None, False)
    search.ran(replace(run(50, up=leg(100)), wait_share=0.5))
    assert (search.too_many, search.disturbed) == (50, True)


def test_a_busy_load_that_is_late_is_not_the_machines_doing() -> None:
    search = Search(PLAN, "any")
    search.ran(replace(run(50), late_p99_ns=9 * MS, load_cpu_share=0.9))
    row = search.row()
    assert (search.too_many, row["limited_by"], row["load_limited"]) == (50, "load", True)


def test_what_a_bridge_holds_back_with_one_call_is_granted_to_it() -> None:
    search = Search(PLAN, "any")
    search.grant(run(1, up=leg(101), down=leg(2)))
    search.ran(run(50, up=leg(120)))
    assert search.carried == 50
    search.ran(run(60, up=leg(125)))
    assert search.too_many == 60
    row = search.row()
    assert row["limit_up_ms"] == pytest.approx(121, rel=1e-3)
    assert row["limit_down_ms"] == 20


@pytest.mark.parametrize(
    ("bad", "limit"),
    [
        (run(), ""),
        (run(up=leg(21)), "delay"),
        (run(down=leg(21)), "delay"),
        (run(down=leg(1, lost=1)), "loss"),
        (replace(run(), up=replace(leg(), lost_ms=20.0)), "loss"),
        (replace(run(), trouble=["3 calls were cut off"]), "loss"),
        (replace(run(up=leg(1, lost=1)), late_p99_ns=4 * MS), "load"),
        (replace(run(), load_cpu_share=0.97), "load"),
        (run(up=LegResult(delays.encode([]), 0, 0, 0.0, 0, 0, 0, 0.0)), "delay"),
    ],
)
def test_why_a_run_does_not_count(bad: RunResult, limit: str) -> None:
    assert ceiling.exceeded(bad, {"up": 20, "down": 20}) == limit


async def test_a_real_search_ends_with_a_row_for_each_system(tmp_path: Path) -> None:
    plan = Plan(first=2, cap=2, precision=0.5, tries=1, settle_s=0.3, measure_s=0.5, seconds=20)
    found = await ceiling.find(plan, tmp_path, lambda _: None, names=("relay",))
    (row,) = found.tables["ceiling"]
    assert row["system"] == "relay"
    assert row["calls"] in (0, 1, 2)
    assert row["limited_by"] in ("cap", "delay", "load")
    assert found.figures[0].values == {"relay": row["calls"]}
    assert found.runs[0]["calls"] == 2
