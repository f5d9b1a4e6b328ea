"""Runs of the load, made into figures and into the records that a result file keeps of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from hdrh.histogram import HdrHistogram

from bench.figures import PRODUCT, Figure
from bench.load import delays
from bench.load.delays import QUANTILES
from bench.load.generator import LegResult, RunResult
from bench.load.measured import Row, known

WAYS: Final = {"up": "caller → model", "down": "model → caller"}
LATE_P99_MS: Final = 3.0  # the load's own sends; beyond it the load is what is being measured
LOAD_SHARE: Final = 0.85  # of its core
LOAD_SHARE_MOST: Final = 0.95  # beyond it the load cannot tell any more how late it is
LOST_SHARE: Final = 0.01  # of bursts, and
FAR_BEHIND_MS: Final = 300.0  # at p99: no reference holds back half as much; a system this late falls behind
WAIT_SHARE: Final = 0.1  # of the time; beyond it something else ran on the measured core


@dataclass
class Series:
    """All runs of one system at one number of calls."""

    base_rss: int | None  # bytes, with no call; None: not known
    runs: list[RunResult] = field(default_factory=list)
    _merged: dict[str, tuple[int, HdrHistogram]] = field(default_factory=dict)  # way -> runs in it, delays

    def legs(self, way: str) -> list[LegResult]:
        return [run.up if way == "up" else run.down for run in self.runs]

    def delay_ms(self, way: str, percent: float) -> float:
        return delays.quantile_ms(self._histogram(way), percent)

    def _histogram(self, way: str) -> HdrHistogram:
        if way not in self._merged or self._merged[way][0] != len(self.runs):
            histogram = delays.together(leg.histogram for leg in self.legs(way))
            self._merged[way] = len(self.runs), histogram
        return self._merged[way][1]

    def filter_ms(self, way: str) -> float:
        return float(np.mean([leg.filter_ms for leg in self.legs(way)]))

    def lost_frames(self, way: str) -> int:
        return sum(round(leg.lost_ms / 20) for leg in self.legs(way))

    def cpu_ms_per_call_s(self) -> float:
        return float(np.mean([cpu_ms_per_call_s(run) for run in self.runs]))

    def rss_kb_per_call(self) -> float:
        """Of the first run: what a process has once had it keeps, so later ones tell of greater levels."""
        if self.base_rss is None:
            return float("nan")
        return (self.runs[0].rss_bytes - self.base_rss) / 1e3 / self.runs[0].calls


def figures(by_system: Mapping[str, Series], calls: int) -> list[Figure]:
    """Every figure of one level; `by_system`: name → its runs at this number of calls.

    Of a reference that was overloaded only what it lost: it spent and delayed too little to compare with, as
    it did not do the work.
    """
    made = []

    def add(key: str, title: str, unit: str, values: dict[str, float]) -> None:
        told = {name: value for name, value in values.items() if not math.isnan(value)}
        if told:
            made.append(Figure(f"{key}@{calls}", title, unit, told))

    everyone = by_system.items()
    systems = [
        (name, series)
        for name, series in everyone
        if name == PRODUCT or not any(overload(run) for run in series.runs)
    ]
    for way, arrow in WAYS.items():
        for quantile, percent in QUANTILES.items():
            added = {name: series.delay_ms(way, percent) for name, series in systems}
            add(f"delay_{way}_{quantile}_ms", f"added delay {arrow}, {quantile}", "ms", added)
        filters = {name: series.filter_ms(way) for name, series in systems}
        lost: dict[str, float] = {name: series.lost_frames(way) for name, series in everyone}
        unheard: dict[str, float] = {
            name: sum(leg.bursts_lost for leg in series.legs(way)) for name, series in everyone
        }
        gaps: dict[str, float] = {
            name: sum(leg.gaps for leg in series.legs(way)) for name, series in everyone
        }
        add(f"filter_{way}_ms", f"filter delay {arrow}", "ms", filters)
        add(f"lost_frames_{way}", f"20 ms frames lost {arrow}", "", lost)
        add(f"bursts_lost_{way}", f"bursts not heard {arrow}", "", unheard)
        add(f"gaps_{way}", f"gaps over 20 ms {arrow}", "", gaps)
    cpu = {name: series.cpu_ms_per_call_s() for name, series in systems}
    add("cpu_ms_per_call_s", "CPU per call-second", "ms", cpu)
    memory = {name: series.rss_kb_per_call() for name, series in systems}
    add("rss_kb_per_call", "memory per call", "kB", memory)
    return made


def record(name: str, run: RunResult) -> dict[str, object]:
    """One run by itself."""

    def leg(result: LegResult) -> dict[str, object]:
        histogram = delays.together([result.histogram])
        quantiles = {q: delays.quantile_ms(histogram, p) for q, p in QUANTILES.items()}
        return {
            "delay_ms": quantiles if result.heard else {},
            "histogram": result.histogram,  # HdrHistogram V2, in µs
            "bursts": result.heard,
            "bursts_late": result.late,
            "bursts_lost": result.bursts_lost,
            "messages": result.messages,
            "gaps": result.gaps,
            "lost_ms": result.lost_ms,
        }

    return {
        "system": name,
        "calls": run.calls,
        "seconds": run.seconds,
        "cpu_ms_per_call_s": cpu_ms_per_call_s(run),
        "rss_mb": run.rss_bytes / 1e6,
        "wait_share": run.wait_share,
        "load_late_p99_ms": late_p99_ms(run),
        "load_late_max_ms": run.late_max_ns / 1e6,
        "load_cpu_share": run.load_cpu_share,
        "overloaded": overload(run),
        "up": leg(run.up),
        "down": leg(run.down),
    }


def overload(run: RunResult) -> str:
    """Why these were more calls than the system carries; empty: it carried them."""
    why = list(run.trouble)
    for way, leg in (("up", run.up), ("down", run.down)):
        sent = leg.heard + leg.bursts_lost
        if leg.bursts_lost > LOST_SHARE * sent:
            why.append(f"{leg.bursts_lost / sent:.0%} not heard {way}")
        behind_ms = p99_ms(run)[way]
        if behind_ms > FAR_BEHIND_MS:
            why.append(f"{behind_ms:.0f} ms behind {way}")
    return ", ".join(why)


def row(name: str, calls: int, series: Series, nothing: str = "") -> Row:
    """What became of these calls, in one line of a table; `nothing`: why there is no run to tell of."""
    if not series.runs:
        return {"system": name, "calls": calls, "carried": f"overloaded: {nothing}"}
    overloads = [why for why in map(overload, series.runs) if why]
    return {
        "system": name,
        "calls": calls,
        "carried": f"overloaded: {overloads[0]}" if overloads else "yes",
        "p50_up_ms": known(series.delay_ms("up", 50)),
        "p99_up_ms": known(series.delay_ms("up", 99)),
        "p50_down_ms": known(series.delay_ms("down", 50)),
        "p99_down_ms": known(series.delay_ms("down", 99)),
        "bursts_lost": sum(leg.bursts_lost for way in WAYS for leg in series.legs(way)),
        "cpu_ms_per_call_s": series.cpu_ms_per_call_s(),
        "load_cpu_share": max(run.load_cpu_share for run in series.runs),
    }


def doubts(name: str, series: Series, *, waits: bool = True) -> list[str]:
    """Why these runs say more about the load, or the machine, than about what was measured.

    `waits`: whether waiting for the core is a doubt.
    """
    runs = series.runs
    where = f"unreliable: {name} at {_at(runs[0].calls)}:"
    found = []
    late = [run for run in runs if late_p99_ms(run) > LATE_P99_MS]
    if late:
        worst = max(map(late_p99_ms, late))
        found.append(
            f"{where} in {len(late)} of {len(runs)} runs the load itself was late (p99 {worst:.1f} ms)"
        )
    if waits and (wait := max(run.wait_share for run in runs)) > WAIT_SHARE:
        found.append(f"{where} it waited for its core {wait:.0%} of the time")
    if (share := max(run.load_cpu_share for run in runs)) > LOAD_SHARE:
        found.append(f"{where} the load used {share:.0%} of its core")
    return found


def _at(calls: int) -> str:
    return f"{calls} call" if calls == 1 else f"{calls} calls"


def late_p99_ms(run: RunResult) -> float:
    return run.late_p99_ns / 1e6


def p99_ms(run: RunResult) -> dict[str, float]:
    """Way → added delay; NaN when nothing was heard."""
    legs = {"up": run.up, "down": run.down}
    return {way: delays.quantile_ms(delays.together([leg.histogram]), 99) for way, leg in legs.items()}


def cpu_ms_per_call_s(run: RunResult) -> float:
    return run.cpu_ns / 1e6 / run.calls / run.seconds
