"""Many calls for many minutes: what grows, what the garbage collector does, which frames are late."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bench.figures import PRODUCT, Figure
from bench.load import delays, driver, metrics, summary, systems
from bench.load.generator import RunResult
from bench.load.measured import Measured, Row, known
from bench.load.process import cores, usage
from bench.load.rig import at, job

FRAMES_PER_CALL_S: Final = 50 + 25  # up in 20 ms, down in 40 ms
_GENERATIONS: Final = (0, 1, 2)


@dataclass(frozen=True)
class Plan:
    calls: int
    minutes: float  # counted
    settle_s: float
    sample_s: float  # between looks at the product
    skip_s: float  # of samples at the start that no slope is drawn through: pools fill, caches warm


FULL: Final = Plan(calls=100, minutes=10.0, settle_s=3.0, sample_s=1.0, skip_s=60.0)
SHORT: Final = Plan(calls=20, minutes=0.25, settle_s=1.0, sample_s=0.5, skip_s=3.0)


@dataclass(frozen=True)
class Sample:
    """The product at one moment; counters as they stood."""

    at_s: float
    rss_kb: float
    told: metrics.Metrics

    def row(self, first: Sample) -> Row:
        def since(name: str) -> float | None:
            return known(_grown(first, self, name))

        return {
            "at_s": self.at_s,
            "rss_mb": self.rss_kb / 1e3,
            **{f"gc{n}": since(f"gc_pause_seconds_count{{{n}}}") for n in _GENERATIONS},
            "gc_pause_ms": known(collecting_ms(self, first)),
            "tracked_objects": known(self.told.value("gc_tracked_objects")),
            "deadline_misses": since("deadline_misses_total"),
        }


def collecting_ms(sample: Sample, first: Sample) -> float:
    """Spent in garbage collections since the first sample."""
    return 1e3 * sum(_grown(first, sample, f"gc_pause_seconds_sum{{{n}}}") for n in _GENERATIONS)


async def run(plan: Plan, logs: Path, say: Callable[[str], None]) -> Measured:
    """Load the product with `plan.calls` for `plan.minutes`, looking at it meanwhile.

    Raises LoadFailed or ChildFailed when it does not carry them at all.
    """
    load_core, core = cores()
    samples: list[Sample] = []
    async with driver.started(load_core, logs) as load, contextlib.AsyncExitStack() as stack:
        product = await stack.enter_async_context(
            systems.product(gemini_url=load.gemini_url, core=core, logs=logs)
        )
        seconds = plan.minutes * 60
        work = await job(product, plan.calls, plan.settle_s, seconds)
        began = time.monotonic()
        running = asyncio.create_task(load.run(work))
        try:
            while not running.done():
                await asyncio.wait([running], timeout=plan.sample_s)
                at_s = time.monotonic() - began
                if at_s >= plan.settle_s + seconds:
                    break  # the calls are about to end: what they leave behind then is no growth
                if at_s >= plan.settle_s:
                    say(f"{at(plan.calls)}, {at_s / 60:.1f} of {plan.minutes:g} minutes")
                    told = await metrics.scrape(product.metrics_url)
                    samples.append(Sample(at_s, usage(product.pid).rss_bytes / 1e3, told))
            result = await running
        finally:
            running.cancel()
            await asyncio.wait([running])
    return found(plan, samples, result)


def found(plan: Plan, samples: Sequence[Sample], result: RunResult) -> Measured:
    first, last = samples[0], samples[-1]
    later = [sample for sample in samples if sample.at_s - first.at_s >= plan.skip_s] or list(samples)
    frames_per_s = plan.calls * FRAMES_PER_CALL_S
    # To a thousandth: that is below what the looking itself leaves about.
    tracked = _slope([(s.at_s, s.told.value("gc_tracked_objects")) for s in later])
    collections = {n: _grown(first, last, f"gc_pause_seconds_count{{{n}}}") for n in _GENERATIONS}
    pause_ms = max(last.told.most_s(f"gc_pause_seconds{{{n}}}", first.told) for n in _GENERATIONS) * 1e3
    figures = [
        _figure(
            "steady_rss_kb_per_min",
            "memory growth",
            "kB/min",
            60 * _slope([(s.at_s, s.rss_kb) for s in later]),
        ),
        _figure(
            "steady_objects_per_frame",
            "objects left for the collector per frame",
            "",
            round(max(0.0, tracked / frames_per_s), 3),
        ),
        _figure("steady_full_collections", "full garbage collections", "", collections[2]),
        _figure("steady_young_collections", "young garbage collections", "", collections[0] + collections[1]),
        _figure("steady_gc_pause_max_ms", "longest garbage collection, at most", "ms", pause_ms),
        _figure(
            "steady_deadline_misses",
            "times the loop was over 20 ms late",
            "",
            _grown(first, last, "deadline_misses_total"),
        ),
        _figure(
            "steady_stalls",
            "times something kept the loop for 100 ms",
            "",
            _grown(first, last, "loop_stalls_total"),
        ),
    ]
    for way, leg in (("up", result.up), ("down", result.down)):
        histogram = delays.together([leg.histogram])
        arrow = summary.WAYS[way]
        for quantile, percent in delays.QUANTILES.items():
            delay_ms = delays.quantile_ms(histogram, percent)
            figures.append(
                _figure(
                    f"steady_delay_{way}_{quantile}_ms", f"added delay {arrow}, {quantile}", "ms", delay_ms
                )
            )
        figures += [
            _figure(f"steady_bursts_late_{way}", f"bursts over 20 ms late {arrow}", "", leg.late),
            _figure(f"steady_bursts_lost_{way}", f"bursts not heard {arrow}", "", leg.bursts_lost),
            _figure(f"steady_gaps_{way}", f"gaps over 20 ms {arrow}", "", leg.gaps),
        ]
    figures = [figure for figure in figures if figure.values[PRODUCT] == figure.values[PRODUCT]]  # no NaN
    series = summary.Series(None, [result])
    notes = summary.doubts("steady", series)
    return Measured(
        figures,
        [summary.record(PRODUCT, result)],
        notes,
        {figure.key for figure in figures} if notes else set(),
        {"steady": [sample.row(first) for sample in samples]},
    )


def _figure(key: str, title: str, unit: str, value: float) -> Figure:
    return Figure(key, title, unit, {PRODUCT: value})


def _grown(first: Sample, last: Sample, name: str) -> float:
    return last.told.value(name) - first.told.value(name)


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Per second, by least squares; NaN through fewer than two points."""
    if len(points) < 2:
        return float("nan")
    xs, ys = np.array(points).T
    return float(np.polyfit(xs - xs[0], ys, 1)[0])
