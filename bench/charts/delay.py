"""Charts of added delay: its distribution at one number of calls, and how it grows with calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from hdrh.histogram import HdrHistogram
from matplotlib.axes import Axes

from bench.charts import histograms, style
from bench.charts.style import COLOURS, NAMES, WAYS, Chart
from bench.figures import Result

UNIT_MS: Final = 1e-3  # histograms are in µs
LEAST: Final = 20  # values; fewer have no distribution to draw
FRAME_MS: Final = 20.0


def percentiles(result: Result) -> list[Chart]:
    """One chart for each number of calls: delay against percentile, further right is rarer."""
    runs = histograms.compared(result)
    by_way = {way: histograms.merged(runs, way) for way in WAYS}
    levels = sorted({calls for found in by_way.values() for _, calls in found})
    return [_percentiles(by_way, calls) for calls in levels]


def _percentiles(by_way: dict[str, dict[histograms.Where, HdrHistogram]], calls: int) -> Chart:
    drawing, axes = style.panels(1, 2, sharey=True)
    for panel, (way, arrow) in zip(axes, WAYS.items(), strict=True):
        ends = {}
        for (system, level), histogram in by_way[way].items():
            total = histogram.get_total_count()
            if level != calls or total < LEAST:
                continue
            # From the median to the last value there is: beyond 1 - 1/total a percentile says nothing.
            rarity = np.geomspace(2.0, total, 200)
            delays = [
                max(histogram.get_value_at_percentile(100 * (1 - 1 / each)) * UNIT_MS, 0.01)
                for each in rarity
            ]
            name = NAMES.get(system, system)
            panel.plot(rarity, delays, color=COLOURS.get(system, style.PINK), drawstyle="steps-post")
            ends[name] = (float(rarity[-1]), delays[-1])
        panel.set_xscale("log")
        _nines(panel)
        panel.set_title(arrow)
        panel.set_xlabel("percentile")
        _frame_line(panel)
        style.nice_ms(panel)
        style.label_ends(panel, ends, {NAMES[key]: COLOURS[key] for key in NAMES})
    axes[0].set_ylabel("added delay, ms")
    at = "1 call" if calls == 1 else f"{calls} calls at once"
    return Chart(
        f"delay-percentiles-{calls}",
        f"Added delay by percentile, {at}",
        "Socket to socket, without the filter's own delay. Both axes are logarithmic: each step to the right "
        "is ten times rarer.",
        drawing,
    )


def by_calls(result: Result) -> list[Chart]:
    """The median and the 99th percentile against the number of calls."""
    levels = _levels(result)
    if len(levels) < 2:
        return []
    drawing, axes = style.panels(1, 2, sharey=True)
    for panel, (way, arrow) in zip(axes, WAYS.items(), strict=True):
        ends = {}
        for system, name in NAMES.items():
            for quantile, line in (("p50", "-"), ("p99", "--")):
                points = _points(result, f"delay_{way}_{quantile}_ms", system, levels)
                if not points:
                    continue
                xs, ys = zip(*points, strict=True)
                panel.plot(xs, ys, line, color=COLOURS[system], marker="o", markersize=4)
                ends[f"{name} {quantile}"] = points[-1]
        panel.set_title(arrow)
        _calls_axis(panel, levels)
        _frame_line(panel)
        style.nice_ms(panel)
        colours = {f"{name} {q}": COLOURS[key] for key, name in NAMES.items() for q in ("p50", "p99")}
        style.label_ends(panel, ends, colours)
    axes[0].set_ylabel("added delay, ms")
    return [
        Chart(
            "delay-by-calls",
            "Added delay by number of calls",
            "The median (full lines) and the 99th percentile (dashed), all on one core, the model talking "
            "all the time.",
            drawing,
        )
    ]


def cpu(result: Result) -> list[Chart]:
    """Processor time that one second of one call costs, against the number of calls."""
    levels = _levels(result, "cpu_ms_per_call_s")
    if len(levels) < 2:
        return []
    drawing, (panel,) = style.panels(1, 1, width=7.0)
    ends = {}
    for system, name in NAMES.items():
        if points := _points(result, "cpu_ms_per_call_s", system, levels):
            xs, ys = zip(*points, strict=True)
            panel.plot(xs, ys, color=COLOURS[system], marker="o", markersize=4)
            ends[name] = points[-1]
    _calls_axis(panel, levels)
    panel.set_ylim(0)
    panel.set_ylabel("CPU per call-second, ms")
    style.label_ends(panel, ends, {NAMES[key]: COLOURS[key] for key in NAMES})
    return [
        Chart(
            "cpu-by-calls",
            "What a call costs, by number of calls",
            "Processor time of the whole process, all its threads, for each second of each call. 10 ms mean "
            "that 100 calls fill a core.",
            drawing,
        )
    ]


def _levels(result: Result, key: str = "delay_up_p50_ms") -> list[int]:
    found = (figure.key.partition("@") for figure in result.figures)
    return sorted(int(level) for name, _, level in found if name == key and level.isdigit())


def _points(result: Result, key: str, system: str, levels: Iterable[int]) -> list[tuple[float, float]]:
    figures = ((level, result.figure(f"{key}@{level}")) for level in levels)
    return [(level, figure.values[system]) for level, figure in figures if figure and system in figure.values]


def _nines(panel: Axes) -> None:
    """Ticks 50 %, 90 %, 99 % … as far as the lines go."""
    last = panel.get_xlim()[1]
    ticks = [
        (2.0, "50 %"),
        (10.0, "90 %"),
        (100.0, "99 %"),
        (1e3, "99.9 %"),
        (1e4, "99.99 %"),
        (1e5, "99.999 %"),
    ]
    shown = [tick for tick in ticks if tick[0] <= last]
    panel.set_xticks([at for at, _ in shown], [label for _, label in shown])
    panel.minorticks_off()


def _calls_axis(panel: Axes, levels: list[int]) -> None:
    panel.set_xscale("log")
    panel.set_xticks(levels, [str(level) for level in levels])
    panel.minorticks_off()
    panel.set_xlabel("calls at once")


def _frame_line(panel: Axes) -> None:
    """One frame's length: what the bar on p99 is, and what a listener could begin to notice."""
    panel.axhline(FRAME_MS, color=style.INK, linewidth=0.8, linestyle=":")
    panel.annotate(
        "20 ms: one frame",
        (0.01, FRAME_MS),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        fontsize=8,
    )
