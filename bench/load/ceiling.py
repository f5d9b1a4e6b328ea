"""The most calls a system carries on one core: p99 added delay within LIMIT_MS each way, and nothing lost."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.figures import Figure
from bench.load import rig, summary, systems
from bench.load.generator import LoadFailed, RunResult
from bench.load.measured import Measured, Row

LIMIT_MS: Final = 20.0  # added delay at p99, each way: a telephone frame
HELD_BACK_MS: Final = 10.0  # at p99 with one call; a bridge beyond it holds audio back by design
LOST_FRAME_MS: Final = 20.0
IDLE_SHARE: Final = 0.6  # of its core: a load that had more left and was late was kept from running
HICCUPS: Final = 5  # runs of one search that may be repeated because the machine did something else
Limits = dict[str, float]  # way -> ms at p99


@dataclass(frozen=True)
class Plan:
    first: int  # calls; doubled until it is too many
    cap: int  # not more than this is tried
    precision: float  # the search ends when what is carried and what is not are this close
    tries: int  # a level counts as too much when it failed this often: one hiccup settles nothing
    settle_s: float
    measure_s: float
    seconds: float  # for one system; what is found by then stands


FULL: Final = Plan(first=50, cap=800, precision=0.05, tries=2, settle_s=1.5, measure_s=5.0, seconds=240)
SHORT: Final = Plan(first=25, cap=200, precision=0.25, tries=1, settle_s=0.5, measure_s=1.5, seconds=45)


async def find(
    plan: Plan, logs: Path, say: Callable[[str], None], names: Sequence[str] = systems.NAMES
) -> Measured:
    """Search for each system's ceiling. A system that holds audio back with a single call is granted what it
    held there beside LIMIT_MS, so that its ceiling is where it falls behind and not zero.

    Rows: system, calls, limited_by (delay, loss, load: the load was late or used up its core; cap; time),
    load_limited, the limits, and p99s, CPU and the load's share of its core at `calls`. Raises LoadFailed or
    ChildFailed when a system does not carry one call.
    """
    outcome = Measured(tables={"ceiling": []})
    found: dict[str, float] = {}
    async with rig.started(names, logs) as bench:
        for name in names:
            search = Search(plan, name)
            alone = await bench.run(name, 1, plan.settle_s, plan.measure_s)
            search.grant(alone)
            while (calls := search.next_calls()) is not None:
                say(f"{name}: {rig.at(calls)}, {search.state}")
                try:
                    run = await bench.run(name, calls, plan.settle_s, plan.measure_s)
                except LoadFailed:
                    search.failed(calls, "loss")
                    continue
                outcome.runs.append(summary.record(name, run))
                search.ran(run)
            outcome.tables["ceiling"].append(search.row())
            found[name] = search.carried
            if search.disturbed:
                outcome.notes.append(f"unreliable: {name}: the machine was busy with something else")
    outcome.figures.append(Figure("ceiling_calls", "calls on one core", "", found))
    if outcome.notes:
        outcome.unreliable.add("ceiling_calls")
    return outcome


class Search:
    """Doubles until it is too much, then halves the distance. Pure but for the clock of its time limit."""

    def __init__(self, plan: Plan, name: str) -> None:
        self._plan = plan
        self._name = name
        self._limits: Limits = {"up": LIMIT_MS, "down": LIMIT_MS}
        self._began = time.monotonic()
        self._failures = 0  # at the present level
        self._best: RunResult | None = None
        self.carried = 0
        self.too_many: int | None = None
        self.limited_by = ""
        self._hiccups = 0

    @property
    def disturbed(self) -> bool:
        """Whether the machine did too much else for the result to say anything."""
        return self._hiccups > HICCUPS

    def grant(self, alone: RunResult) -> None:
        for way, p99_ms in summary.p99_ms(alone).items():
            if p99_ms > HELD_BACK_MS:
                self._limits[way] = LIMIT_MS + p99_ms

    @property
    def state(self) -> str:
        upper = "any more" if self.too_many is None else str(self.too_many)
        return f"carries {self.carried}, {upper} may be too many"

    def next_calls(self) -> int | None:
        """The level to run next; None: the search is over."""
        plan = self._plan
        if time.monotonic() - self._began > plan.seconds:
            self.limited_by = self.limited_by or "time"
            return None
        if self.too_many is None:
            if self.carried >= plan.cap:
                self.limited_by = "cap"
                return None
            return min(max(plan.first, self.carried * 2), plan.cap)
        if self.too_many - self.carried <= max(1, math.floor(self.too_many * plan.precision)):
            return None
        return (self.carried + self.too_many) // 2

    def ran(self, run: RunResult) -> None:
        limit = exceeded(run, self._limits)
        if not limit:
            self.carried, self._best, self._failures = run.calls, run, 0
            return
        self._hiccups += disturbed(run)
        if not disturbed(run) or self.disturbed:
            self.failed(run.calls, limit)

    def failed(self, calls: int, limit: str) -> None:
        self._failures += 1
        if self._failures >= self._plan.tries:
            self.too_many, self.limited_by, self._failures = calls, limit, 0

    def row(self) -> Row:
        best = self._best
        p99_ms = summary.p99_ms(best) if best is not None else {}
        return {
            "system": self._name,
            "calls": self.carried,
            "limited_by": self.limited_by,
            "load_limited": self.limited_by == "load",
            "p99_up_ms": p99_ms.get("up"),
            "p99_down_ms": p99_ms.get("down"),
            "limit_up_ms": self._limits["up"],
            "limit_down_ms": self._limits["down"],
            "cpu_ms_per_call_s": summary.cpu_ms_per_call_s(best) if best is not None else None,
            "load_cpu_share": best.load_cpu_share if best is not None else None,
        }


def disturbed(run: RunResult) -> bool:
    """Whether something else of the machine's took the load's core, or the system's."""
    late = summary.late_p99_ms(run) > summary.LATE_P99_MS
    return run.wait_share > summary.WAIT_SHARE or (late and run.load_cpu_share < IDLE_SHARE)


def exceeded(run: RunResult, limits: Limits) -> str:
    """Why this run does not count as carried: load, loss or delay; empty: it does. What the load did not keep
    up with says nothing of the system, so that comes first."""
    if summary.late_p99_ms(run) > summary.LATE_P99_MS or run.load_cpu_share > summary.LOAD_SHARE_MOST:
        return "load"
    if run.trouble or any(leg.bursts_lost or leg.lost_ms >= LOST_FRAME_MS for leg in (run.up, run.down)):
        return "loss"
    # Written so that no delay at all, when nothing was heard, is too much as well.
    return "" if all(p99_ms <= limits[way] for way, p99_ms in summary.p99_ms(run).items()) else "delay"
