"""The same load on every system in turn, round by round."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.load import driver, summary, systems
from bench.load.generator import Job
from bench.load.measured import Measured
from bench.load.process import cores, usage


@dataclass(frozen=True)
class Plan:
    levels: Sequence[int]  # calls at once
    rounds: int
    settle_s: float
    measure_s: float


FULL: Final = Plan(levels=(1, 50), rounds=3, settle_s=1.5, measure_s=8.0)
SHORT: Final = Plan(levels=(20,), rounds=2, settle_s=1.0, measure_s=3.0)


async def compare(
    plan: Plan, logs: Path, say: Callable[[str], None], names: Sequence[str] = systems.NAMES
) -> Measured:
    """Run `plan` on the systems `names`: all of them up all the time, one under load at a time.

    Raises LoadFailed or ChildFailed when a system cannot take the load at all.
    """
    load_core, core = cores()
    measured: dict[tuple[str, int], summary.Series] = {}
    runs: list[dict[str, object]] = []
    async with contextlib.AsyncExitStack() as stack:
        load = await stack.enter_async_context(driver.started(load_core, logs))
        starts = [
            stack.enter_async_context(
                systems.started(name, gemini_port=load.gemini_port, core=core, logs=logs)
            )
            for name in names
        ]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(start) for start in starts]
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        under_test = [task.result() for task in tasks]
        turns = list(itertools.product(range(plan.rounds), plan.levels, under_test))
        for number, (turn, calls, system) in enumerate(turns, 1):
            at = f"{calls} call" if calls == 1 else f"{calls} calls"
            say(f"run {number} of {len(turns)}: {system.name}, {at}")
            where = (system.name, calls)
            if where not in measured:
                before = any(name == system.name for name, _ in measured)
                measured[where] = summary.Series(usage(system.pid).rss_bytes if before else None)
            urls = await system.prepare([f"{system.name}-{calls}-{turn}-{call}" for call in range(calls)])
            run = await load.run(Job(urls, plan.settle_s, plan.measure_s, system.pid))
            measured[where].runs.append(run)
            runs.append(summary.record(system.name, run))
    outcome = Measured(runs=runs)
    for calls in plan.levels:
        level = {name: measured[name, calls] for name in names}
        figures = summary.figures(level, calls)
        notes = [note for name, series in level.items() for note in summary.doubts(name, series)]
        outcome.figures += figures
        outcome.notes += notes
        if notes:
            outcome.unreliable |= {figure.key for figure in figures}
    return outcome
