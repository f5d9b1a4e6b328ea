"""A baseline made from repeated runs of the gate's own measurement.

The rule: a line's baseline is the median of the runs' ratios; its tolerance is 1 + SPREADS × the distance of
the worst run from the median, as a share of the median, and no less than the line's `floor`. Lines that are
`fixed` keep their limit: it is the design's. Runs in which a figure was unreliable don't count for it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Final

from bench.figures import BadResult, Result
from bench.gate import Line, value_of

SPREADS: Final = 2.0
RULE: Final = (
    "baseline: the median ratio of the runs; tolerance: 1 + 2 × (worst run ÷ median - 1), no less than the "
    "line's floor; fixed lines keep the design's limit"
)
LEAST_RUNS: Final = 2  # of one figure; fewer have no spread


def calibrated(lines: Sequence[Line], runs: Sequence[Result]) -> list[Line]:
    """`lines` with baseline and tolerance from `runs`. Raises BadResult naming a figure that has too few."""
    return [line if line.fixed else _calibrated(line, runs) for line in lines]


def _calibrated(line: Line, runs: Sequence[Result]) -> Line:
    found = [value_of(run, line) for run in runs if line.figure not in run.unreliable]
    values = [value for value in found if value is not None]
    if len(values) < LEAST_RUNS:
        raise BadResult(f"{line}: {len(values)} of {len(runs)} runs were reliable, {LEAST_RUNS} are needed")
    middle = median(values)
    if middle <= 0:
        raise BadResult(f"{line}: its median is {middle:g}: a fixed limit suits it better")
    tolerance = max(line.floor, 1 + SPREADS * (max(values) / middle - 1))
    return replace(
        line,
        baseline=_rounded(middle),
        tolerance=_rounded(tolerance),
        seen=(_rounded(min(values)), _rounded(max(values))),
    )


def write(path: Path, lines: Sequence[Line], runs: Sequence[Result]) -> None:
    """A baseline file, one line a figure, headed by where its numbers come from."""
    about = runs[-1].about
    head = {
        "rule": RULE,
        "runs": len(runs),
        "machine": about.get("machine"),
        "commit": about.get("commit"),
        "started_at": about.get("started_at"),
    }
    rows = ",\n  ".join(json.dumps(_fields(line), ensure_ascii=False) for line in lines)
    text = f'{{\n "calibrated": {json.dumps(head, ensure_ascii=False)},\n "figures": [\n  {rows}\n ]\n}}\n'
    path.write_text(text, encoding="utf-8")


def _fields(line: Line) -> dict[str, object]:
    """Without what is as usual."""
    fields = asdict(line)
    if line.fixed:
        del fields["floor"], fields["seen"]
    else:
        del fields["fixed"]
    return fields


def _rounded(value: float) -> float:
    """Three digits: the runs don't agree on more."""
    return float(f"{value:.3g}")
