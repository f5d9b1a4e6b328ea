"""One worker process and two, each pinned to a core of its own: what a call costs in either.

A worker is a node like any other, so two nodes started side by side are what `--workers 2` starts. The second
one shares its core with the load, which goes before it (a higher real-time priority, where we may): what the
load takes is missing there, so that delays of two workers on a machine of two cores are an upper bound, and
the CPU a call costs is the measure. On three cores or more each has its own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.figures import PRODUCT, Figure
from bench.load import driver, rig, summary, systems
from bench.load.generator import Job
from bench.load.measured import Measured
from bench.load.process import cores

WORKERS: Final = 2
ALONE: Final = "one worker"


@dataclass(frozen=True)
class Plan:
    calls: int  # on each worker
    rounds: int
    settle_s: float
    measure_s: float


FULL: Final = Plan(calls=100, rounds=3, settle_s=1.5, measure_s=6.0)
SHORT: Final = Plan(calls=10, rounds=1, settle_s=0.5, measure_s=2.0)


async def run(plan: Plan, logs: Path, say: Callable[[str], None]) -> Measured:
    """`plan.calls` on one worker, the same number over two, and as many on each of two, in turn.

    Raises LoadFailed or ChildFailed.
    """
    load_core, first_core = cores()
    second_core = _third_core(load_core)
    steps = [(1, plan.calls), (WORKERS, plan.calls), (WORKERS, WORKERS * plan.calls)]
    by_step = {step: summary.Series(None) for step in steps}
    async with driver.started(load_core, logs) as load, contextlib.AsyncExitStack() as stack:
        nodes = [
            await stack.enter_async_context(
                systems.product(gemini_url=load.gemini_url, core=core, logs=logs, name=f"{PRODUCT}-{number}")
            )
            for number, core in enumerate((first_core, second_core))
        ]
        for _, step in itertools.product(range(plan.rounds), steps):
            workers, calls = step
            say(f"{workers} workers, {rig.at(calls)}")
            parts = [
                await rig.job(node, calls // workers, plan.settle_s, plan.measure_s)
                for node in nodes[:workers]
            ]
            by_step[step].runs.append(await load.run(_joined(parts)))
    return _found(by_step, shared=second_core == load_core)


def _third_core(load_core: int) -> int:
    """One that neither the load nor the first worker has; the load's when there are but two."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return usable[2] if len(usable) > 2 else load_core


def _joined(parts: list[Job]) -> Job:
    """One run of all of them; the workers' calls take turns, so that each worker's are spread over the
    period."""
    turns = itertools.chain.from_iterable(itertools.zip_longest(*(part.calls.items() for part in parts)))
    calls = dict(call for call in turns if call is not None)
    return Job(calls, parts[0].settle_s, parts[0].measure_s, [pid for part in parts for pid in part.pids])


def _found(by_step: dict[tuple[int, int], summary.Series], *, shared: bool) -> Measured:
    outcome = Measured(tables={"scaling": []})
    for (workers, calls), series in by_step.items():
        where = "the load's core" if shared and workers > 1 else "a core each"
        row = {"workers": workers, "last_worker_on": where, **summary.row(PRODUCT, calls, series)}
        outcome.tables["scaling"].append(row)
        outcome.runs += [{**summary.record(PRODUCT, run), "workers": workers} for run in series.runs]
        # Waiting for a core that is shared is what was asked for.
        doubts = summary.doubts(f"{workers} workers", series, waits=not (shared and workers > 1))
        outcome.notes += doubts
    (alone, *others) = by_step.items()
    for (workers, calls), series in others:
        cpu = {PRODUCT: series.cpu_ms_per_call_s(), ALONE: alone[1].cpu_ms_per_call_s()}
        title = f"CPU per call-second, {workers} workers"
        outcome.figures.append(Figure(f"workers{workers}_cpu_ms_per_call_s@{calls}", title, "ms", cpu))
    if outcome.notes:
        outcome.unreliable |= {figure.key for figure in outcome.figures}
    return outcome
