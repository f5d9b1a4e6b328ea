"""What one part of the bench found; `bench.figures.Result.take` puts it into a result."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from bench.figures import Figure

Row = dict[str, object]  # of a table: column -> number, text or None


@dataclass
class Measured:
    figures: list[Figure] = field(default_factory=list)
    runs: list[dict[str, object]] = field(default_factory=list)  # each load run by itself: summary.record
    notes: list[str] = field(default_factory=list)  # what makes the numbers doubtful, if anything
    unreliable: set[str] = field(default_factory=set)  # keys of figures that the notes throw doubt on
    tables: dict[str, list[Row]] = field(default_factory=dict)


def known(value: float) -> float | None:
    """For a row: None for NaN, which JSON has no word for."""
    return None if math.isnan(value) else value
