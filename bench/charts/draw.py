"""All charts that a result has the numbers for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import matplotlib as mpl

from bench.charts import delay, style
from bench.charts.ceiling import ceiling
from bench.charts.resamplers import resamplers
from bench.charts.steady import steady
from bench.charts.style import Chart
from bench.figures import Result

_CHARTS: Final[tuple[Callable[[Result], list[Chart]], ...]] = (
    delay.by_calls,
    delay.percentiles,
    delay.cpu,
    ceiling,
    steady,
    resamplers,
)


def draw(result: Result) -> list[Chart]:
    with mpl.rc_context(style.RC):
        return [chart for make in _CHARTS for chart in make(result)]
