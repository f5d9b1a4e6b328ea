"""The same load on every system in turn, round by round."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.load import rig, summary, systems
from bench.load.generator import IN_TROUBLE_S, LoadFailed
from bench.load.measured import Measured


@dataclass(frozen=True)
class Plan:
    levels: Sequence[int]  # calls at once, ascending
    rounds: int
    settle_s: float
    measure_s: float


FULL: Final = Plan(levels=(1, 10, 50, 200, 400), rounds=3, settle_s=1.5, measure_s=6.0)
SHORT: Final = Plan(levels=(20,), rounds=2, settle_s=1.0, measure_s=3.0)


async def compare(
    plan: Plan, logs: Path, say: Callable[[str], None], names: Sequence[str] = systems.NAMES
) -> Measured:
    """Run `plan` on the systems `names`: all of them up all the time, one under load at a time.

    A system that a level drowns is asked for that level and those above it once, for as long as it takes to
    see; tables["levels"] says what happened. Raises LoadFailed or ChildFailed when a system does not carry
    the least of them.
    """
    measured: dict[tuple[str, int], summary.Series] = {}
    drowned: dict[str, tuple[int, str]] = {}  # name -> the level, and why
    nothing: dict[tuple[str, int], str] = {}  # no call was carried: why
    runs: list[dict[str, object]] = []
    async with rig.started(names, logs) as bench:
        turns = list(itertools.product(range(plan.rounds), plan.levels, names))
        for number, (turn, calls, name) in enumerate(turns, 1):
            level = drowned[name][0] if name in drowned else calls + 1
            if turn and calls >= level:
                continue
            say(f"run {number} of {len(turns)}: {name}, {rig.at(calls)}")
            series = measured.setdefault((name, calls), summary.Series(bench.base_rss(name)))
            try:
                seconds = plan.measure_s if calls < level else min(plan.measure_s, IN_TROUBLE_S)
                run = await bench.run(name, calls, plan.settle_s, seconds)
            except LoadFailed as failed:
                if calls == plan.levels[0]:
                    raise
                why = nothing[name, calls] = str(failed)
            else:
                series.runs.append(run)
                runs.append(summary.record(name, run))
                why = summary.overload(run)
            if why and calls <= level:
                drowned[name] = calls, why
    outcome = Measured(runs=runs)
    rows = outcome.tables["levels"] = []
    for calls in plan.levels:
        carried = {name: measured[name, calls] for name in names if measured[name, calls].runs}
        figures = summary.figures(carried, calls)
        notes = [note for name, series in carried.items() for note in summary.doubts(name, series)]
        outcome.figures += figures
        outcome.notes += notes
        if notes:
            outcome.unreliable |= {figure.key for figure in figures}
        for name in names:
            rows.append(summary.row(name, calls, measured[name, calls], nothing.get((name, calls), "")))
    return outcome
