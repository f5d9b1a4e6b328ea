"""Does a result hold what a baseline promises? By ratios to a reference of the same run, on any machine.

A baseline file is `{"figures": [Line's fields, …]}`: the product's value of `figure` over that of the
reference `against` (or the bare value, when `against` is null) may be at most `baseline` × `tolerance`. All
figures are better when smaller. bench.calibration makes such a file from repeated runs.

A figure of a run that was unreliable, because the machine was busy with something else, cannot fail; nor is
it called good.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import PRODUCT, BadResult, Result


@dataclass(frozen=True)
class Line:
    figure: str  # Figure.key
    against: str | None
    baseline: float
    tolerance: float  # a factor
    reason: str  # of the floor, or of the fixed limit
    floor: float = 1.0  # the tolerance is never less: what other machines need beside this one's spread
    fixed: bool = False  # the limit is the design's, not what runs reached
    seen: Sequence[float] = ()  # the least and the greatest of the runs that the baseline was made from

    @property
    def limit(self) -> float:
        return self.baseline * self.tolerance

    def __str__(self) -> str:
        return f"{self.figure} / {self.against}" if self.against else self.figure


@dataclass(frozen=True)
class Verdict:
    line: Line
    value: float | None  # None: the result doesn't have it
    reliable: bool = True

    @property
    def held(self) -> bool:
        return self.value is not None and self.value <= self.line.limit

    @property
    def failed(self) -> bool:
        return not self.held and self.reliable

    def __str__(self) -> str:
        allowed = (
            f"allowed {self.line.limit:.3g} (baseline {self.line.baseline:.3g} × {self.line.tolerance:g})"
        )
        found = "was not measured" if self.value is None else f"{self.value:.3g}"
        word = "ok  " if self.held else "FAIL" if self.failed else "busy"
        return f"{word} {self.line}: {found}, {allowed}"


def load(path: Path) -> list[Line]:
    """Raises BadResult when the file is not a baseline."""
    try:
        return [Line(**line) for line in json.loads(path.read_text(encoding="utf-8"))["figures"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadResult(f"{path}: {error!r}") from error


def judge(result: Result, lines: Sequence[Line]) -> list[Verdict]:
    return [Verdict(line, value_of(result, line), line.figure not in result.unreliable) for line in lines]


def value_of(result: Result, line: Line) -> float | None:
    figure = result.figure(line.figure)
    if figure is None:
        return None
    return figure.values.get(PRODUCT) if line.against is None else figure.ratio(line.against)
