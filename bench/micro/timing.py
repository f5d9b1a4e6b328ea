"""Small functions timed side by side."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from statistics import median

WARM_UP_CALLS = 200


def side_by_side(
    candidates: Mapping[str, Callable[[], object]], *, rounds: int, calls: int
) -> dict[str, float]:
    """Name → µs per call: the median over `rounds` of the mean of `calls` calls.

    The candidates take turns within each round, so that a slow moment of the machine falls on all of them.
    The collector is off, as nothing here makes cycles.
    """
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for function in candidates.values():
        for _ in range(WARM_UP_CALLS):
            function()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, function in candidates.items():
                began = time.perf_counter_ns()
                for _ in range(calls):
                    function()
                taken[name].append((time.perf_counter_ns() - began) / calls / 1000)
    finally:
        gc.enable()
    return {name: median(times) for name, times in taken.items()}
