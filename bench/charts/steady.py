"""Chart of a long run: memory, what the collector has to look through, and late turns of the loop."""

from __future__ import annotations

from typing import Final

from bench.charts import style
from bench.charts.style import Chart
from bench.figures import Result

LEAST: Final = 2  # samples
PANELS: Final = (
    ("rss_mb", "memory, MB", style.BLUE),
    ("tracked_objects", "objects tracked\nby the collector", style.GREEN),
    ("deadline_misses", "loop over 20 ms late,\ntimes so far", style.VERMILION),
)


def steady(result: Result) -> list[Chart]:
    rows = result.tables.get("steady", [])
    shown = [
        (title, colour, points) for key, title, colour in PANELS if len(points := _points(rows, key)) >= LEAST
    ]
    if not shown:
        return []
    drawing, axes = style.panels(len(shown), 1, width=9.0, height=1.7 * len(shown) + 0.5, sharex=True)
    for panel, (title, colour, points) in zip(axes, shown, strict=True):
        xs, ys = zip(*points, strict=True)
        panel.plot(xs, ys, color=colour, linewidth=1.5)
        # From nought, so that what is flat looks flat.
        panel.set_ylim(0, max(*ys, 1) * 1.15)
        panel.set_ylabel(title, fontsize=9)
        panel.ticklabel_format(axis="y", style="plain", useOffset=False)
    axes[-1].set_xlabel("minutes")
    drawing.align_ylabels(axes)
    return [
        Chart(
            "steady",
            "A long run",
            "Every axis begins at nought: what grows with the calls' age would climb from left to right.",
            drawing,
        )
    ]


def _points(rows: list[dict[str, object]], key: str) -> list[tuple[float, float]]:
    pairs = ((row.get("at_s"), row.get(key)) for row in rows)
    return [(x / 60, float(y)) for x, y in pairs if isinstance(x, int | float) and isinstance(y, int | float)]
