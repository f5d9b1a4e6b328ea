"""The delays of a result's runs: their HDR histograms, put together by system and number of calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hdrh.histogram import HdrHistogram

from bench.figures import Result

Where = tuple[str, int]  # system, calls


def merged(runs: Iterable[Mapping[str, object]], way: str) -> dict[Where, HdrHistogram]:
    """One direction's histograms, all runs of the same system at the same level as one."""
    found: dict[Where, HdrHistogram] = {}
    for run in runs:
        leg, calls = run.get(way), run.get("calls")
        if not isinstance(leg, Mapping) or not isinstance(calls, int) or "histogram" not in leg:
            continue
        histogram = HdrHistogram.decode(str(leg["histogram"]))
        where = (str(run["system"]), calls)
        if where in found:
            found[where].add(histogram)
        else:
            found[where] = histogram
    return found


def compared(result: Result) -> list[dict[str, object]]:
    """The runs in which systems were compared: the same load on each, nothing else going on."""
    return [run for run in result.runs if run.get("part", "compare") in ("compare", "load")]
