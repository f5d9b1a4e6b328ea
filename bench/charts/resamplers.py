"""Chart of the resamplers: what each holds back, and what its whole frame costs beside the kernel's."""

from __future__ import annotations

from bench.charts import style
from bench.charts.style import Chart
from bench.figures import Result

KERNEL = "kernel"


def resamplers(result: Result) -> list[Chart]:
    rows = result.tables.get("resamplers", [])
    directions = list(dict.fromkeys(str(row["direction"]) for row in rows))
    if not directions:
        return []
    drawing, axes = style.panels(len(directions), 2, width=10.0, height=2.3 * len(directions) + 0.3)
    for line, direction in enumerate(directions):
        mine = [row for row in rows if row["direction"] == direction]
        names = [str(row["resampler"]) for row in mine]
        colours = [style.BLUE if name == KERNEL else style.GREY for name in names]
        delays = [_delay_ms(row) for row in mine]
        costs = [float(str(row["frame_us"])) for row in mine]
        for panel, values, unit in (
            (axes[2 * line], delays, "ms between sound in and sound out"),
            (axes[2 * line + 1], costs, "µs a frame, message to message"),
        ):
            bars = panel.barh(names, values, color=colours, height=0.6)
            panel.bar_label(bars, [f"{value:.3g}" for value in values], padding=4)
            panel.set_xlim(0, 1.18 * max(*values, 0.1))
            panel.invert_yaxis()
            panel.grid(visible=False, axis="y")
            panel.set_title(direction)
            panel.set_xlabel(unit)
    return [
        Chart(
            "resamplers",
            "What a resampler holds back, and what it costs",
            "Left: the filter's group delay and what the stream keeps of the sound on top of it, on average. "
            "Right: the whole frame, decoding and encoding included.",
            drawing,
        )
    ]


def _delay_ms(row: dict[str, object]) -> float:
    """The filter's own, and on average what the stream keeps on top of it."""
    return float(str(row["group_delay_ms"])) + float(str(row["held_back_mean_ms"]))
