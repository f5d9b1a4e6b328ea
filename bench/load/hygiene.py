"""Frames beside other work of the same process: scrapes, calls that come and go, a Redis that has stopped."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from bench.figures import PRODUCT, Figure
from bench.load import driver, metrics, rig, summary, systems
from bench.load.generator import LoadFailed, RunResult
from bench.load.measured import Measured, Row, known
from bench.load.process import cores

QUIET: Final = "undisturbed"
SCRAPES: Final = "scrapes"
PREPARES: Final = "prepares"
BOTH: Final = "both"
NO_REDIS: Final = "no_redis"
SCENARIOS: Final = {
    QUIET: "undisturbed",
    SCRAPES: "a scrape per second",
    PREPARES: "calls prepared and ended",
    BOTH: "scraped, and calls prepared and ended",
    NO_REDIS: "Redis stopped",
}
SCRAPE_EVERY_S: Final = 1.0
_QUANTILES: Final = {"p50": 50.0, "p99": 99.0, "p99_9": 99.9, "max": 100.0}


@dataclass(frozen=True)
class Plan:
    calls: int
    rounds: int
    prepares_per_s: float  # each a PrepareCall, and an EndCall a second later
    settle_s: float
    measure_s: float


FULL: Final = Plan(calls=100, rounds=2, prepares_per_s=10.0, settle_s=1.5, measure_s=20.0)
SHORT: Final = Plan(calls=20, rounds=1, prepares_per_s=10.0, settle_s=0.5, measure_s=2.0)


@dataclass(frozen=True)
class Seen:
    """One run: as the load heard it, and as the product told before and after."""

    result: RunResult
    disturbances: int  # scrapes, prepares and ends that were answered
    before: metrics.Metrics
    after: metrics.Metrics

    def grown(self, name: str) -> float:
        return self.after.value(name) - self.before.value(name)


async def run(
    plan: Plan, logs: Path, say: Callable[[str], None], scenarios: Sequence[str] = tuple(SCENARIOS)
) -> Measured:
    """The same calls under each scenario in turn, round by round. Raises LoadFailed or ChildFailed."""
    load_core, core = cores()
    seen: dict[str, list[Seen]] = {scenario: [] for scenario in scenarios}
    async with driver.started(load_core, logs) as load, contextlib.AsyncExitStack() as stack:
        product = await stack.enter_async_context(
            systems.product(gemini_url=load.gemini_url, core=core, logs=logs)
        )
        for _, scenario in itertools.product(range(plan.rounds), scenarios):
            say(f"{rig.at(plan.calls)}, {SCENARIOS[scenario]}")
            work = await rig.job(product, plan.calls, plan.settle_s, plan.measure_s)
            before = await metrics.scrape(product.metrics_url)
            async with _disturbed(scenario, product, plan) as count:
                result = await load.run(work)
            seen[scenario].append(Seen(result, count[0], before, await metrics.scrape(product.metrics_url)))
    return found(seen)


@contextlib.asynccontextmanager
async def _disturbed(scenario: str, product: systems.Product, plan: Plan) -> AsyncIterator[list[int]]:
    """What is to go on meanwhile; yields a list of one: how much of it there has been."""
    count = [0]

    async def scraping() -> None:
        await metrics.scrape(product.metrics_url)
        count[0] += 1

    async def preparing() -> None:
        key = f"passing-{next(rig.CALL_NUMBERS)}"
        await product.prepare_one(key)
        await asyncio.sleep(1)
        await product.end_one(key)
        count[0] += 2

    regular: list[tuple[Callable[[], Awaitable[None]], float]] = []
    if scenario in (SCRAPES, BOTH):
        regular.append((scraping, SCRAPE_EVERY_S))
    if scenario in (PREPARES, BOTH):
        regular.append((preparing, 1 / plan.prepares_per_s))
    if scenario == NO_REDIS:
        os.kill(product.redis_pid, signal.SIGSTOP)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_regularly(act, every_s)) for act, every_s in regular]
            try:
                yield count
            finally:
                for task in tasks:
                    task.cancel()
    except ExceptionGroup as failed:
        raise LoadFailed(f"{SCENARIOS[scenario]}: {failed.exceptions[0]}") from failed
    finally:
        if scenario == NO_REDIS:
            os.kill(product.redis_pid, signal.SIGCONT)


async def _regularly(act: Callable[[], Awaitable[None]], every_s: float) -> None:
    """Start `act` on a clock of its own, however long each takes; what is on its way at the end is
    finished."""
    due = time.monotonic()
    going: set[asyncio.Task[None]] = set()
    try:
        while True:
            going.add(asyncio.ensure_future(_wrapped(act)))
            for task in [task for task in going if task.done()]:
                going.discard(task)
                task.result()
            due += every_s
            await asyncio.sleep(max(0.0, due - time.monotonic()))
    finally:
        await asyncio.gather(*going)


async def _wrapped(act: Callable[[], Awaitable[None]]) -> None:
    try:
        await act()
    except (grpc.aio.AioRpcError, OSError) as error:
        raise LoadFailed(str(error)) from error


def found(seen: dict[str, list[Seen]]) -> Measured:
    outcome = Measured(tables={"hygiene": []})
    by_scenario = {
        scenario: summary.Series(None, [s.result for s in runs]) for scenario, runs in seen.items()
    }
    for scenario, series in by_scenario.items():
        outcome.tables["hygiene"].append(_row(scenario, series, seen[scenario]))
        outcome.notes += summary.doubts(f"{PRODUCT}, {SCENARIOS[scenario]},", series)
        outcome.runs += [{**summary.record(PRODUCT, run), "scenario": scenario} for run in series.runs]
    for scenario, series in by_scenario.items():
        if scenario == QUIET or QUIET not in by_scenario:
            continue
        for way, arrow in summary.WAYS.items():
            values = {PRODUCT: series.delay_ms(way, 99), QUIET: by_scenario[QUIET].delay_ms(way, 99)}
            title = f"added delay {arrow}, p99, {SCENARIOS[scenario]}"
            outcome.figures.append(Figure(f"hygiene_{scenario}_{way}_p99_ms", title, "ms", values))
        late = float(sum(leg.late for way in summary.WAYS for leg in series.legs(way)))
        outcome.figures.append(
            Figure(
                f"hygiene_{scenario}_late",
                f"bursts over 20 ms late, {SCENARIOS[scenario]}",
                "",
                {PRODUCT: late},
            )
        )
    if outcome.notes:
        outcome.unreliable |= {figure.key for figure in outcome.figures}
    return outcome


def _row(scenario: str, series: summary.Series, seen: list[Seen]) -> Row:
    row: Row = {"scenario": SCENARIOS[scenario], "disturbances": sum(each.disturbances for each in seen)}
    for way in summary.WAYS:
        row |= {f"{q}_{way}_ms": known(series.delay_ms(way, percent)) for q, percent in _QUANTILES.items()}
    return row | {
        "late_bursts": sum(leg.late for way in summary.WAYS for leg in series.legs(way)),
        "lost_bursts": sum(leg.bursts_lost for way in summary.WAYS for leg in series.legs(way)),
        "gaps": sum(leg.gaps for way in summary.WAYS for leg in series.legs(way)),
        "deadline_misses": known(sum(each.grown("deadline_misses_total") for each in seen)),
        "stalls": known(sum(each.grown("loop_stalls_total") for each in seen)),
        "cpu_ms_per_call_s": series.cpu_ms_per_call_s(),
    }
