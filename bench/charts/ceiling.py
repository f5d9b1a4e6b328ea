"""Chart of the ceiling: how many calls one core carried, and what ended the climb."""

from __future__ import annotations

from bench.charts import style
from bench.charts.style import COLOURS, NAMES, Chart
from bench.figures import Result

ENDED = {"load": "the load gave out", "cap": "no more were tried", "time": "the time was up"}


def ceiling(result: Result) -> list[Chart]:
    rows = [row for row in result.tables.get("ceiling", []) if isinstance(row.get("calls"), int)]
    if not rows:
        return []
    drawing, (panel,) = style.panels(1, 1, width=8.0, height=0.8 + 0.55 * len(rows))
    systems = [str(row["system"]) for row in rows]
    calls = [int(str(row["calls"])) for row in rows]
    bars = panel.barh(
        [NAMES.get(name, name) for name in systems],
        calls,
        color=[COLOURS.get(name, style.PINK) for name in systems],
        height=0.6,
    )
    ends = (ENDED.get(str(row.get("limited_by")), str(row.get("limited_by"))) for row in rows)
    labels = [f"{count}: {end}" for count, end in zip(calls, ends, strict=True)]
    panel.bar_label(bars, labels, padding=5)
    panel.set_xlim(0, 1.35 * max(*calls, 1))
    panel.invert_yaxis()  # in the table's order from the top
    panel.grid(visible=False, axis="y")
    panel.set_xlabel("calls at once on one core")
    return [
        Chart(
            "ceiling",
            "Calls one core carries",
            "With the 99th percentile of added delay at most 20 ms each way and nothing lost; what is "
            "already later than that with a single call is granted its own delay on top. Behind the "
            "number, what ended the climb.",
            drawing,
        )
    ]
