"""What the bench measures and writes: figures, each with its references' values from the same run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

PRODUCT = "voiceplane"


class BadResult(Exception):
    """A result or baseline file is not one; says which part."""


@dataclass(frozen=True)
class Figure:
    """One quantity. `values`: system → number; the product's is under PRODUCT, the rest are references."""

    key: str  # e.g. delay_up_p50_ms@50
    title: str  # for people
    unit: str
    values: Mapping[str, float]

    def ratio(self, reference: str) -> float | None:
        """The product's value over the reference's; None when one is missing or the reference is 0."""
        ours, theirs = self.values.get(PRODUCT), self.values.get(reference)
        return ours / theirs if ours is not None and theirs else None

    @property
    def ratios(self) -> dict[str, float]:
        found = {name: self.ratio(name) for name in self.values if name != PRODUCT}
        return {name: ratio for name, ratio in found.items() if ratio is not None}


@dataclass
class Result:
    """One run of the bench: where, when and how it was made, and its figures."""

    about: dict[str, object]
    figures: list[Figure]
    notes: list[str] = field(default_factory=list)  # what makes the numbers doubtful, if anything
    runs: list[dict[str, object]] = field(default_factory=list)  # each load run by itself
    unreliable: set[str] = field(default_factory=set)  # keys of figures that the notes throw doubt on
    # What is no single figure: resamplers, ceiling, steady, hygiene, scaling, tls; each a list of rows.
    tables: dict[str, list[dict[str, object]]] = field(default_factory=dict)

    def figure(self, key: str) -> Figure | None:
        return next((figure for figure in self.figures if figure.key == key), None)

    def replace(self, newer: Result) -> None:
        """Take its figures and tables in place of those of the same name; what is new comes on top."""
        fresh = {figure.key: figure for figure in newer.figures}
        known = {figure.key for figure in self.figures}
        self.figures = [fresh.get(figure.key, figure) for figure in self.figures]
        self.figures += [figure for figure in newer.figures if figure.key not in known]
        self.unreliable = self.unreliable - fresh.keys() | newer.unreliable
        self.runs += newer.runs
        self.notes += newer.notes
        self.tables |= newer.tables

    def write(self, path: Path) -> None:
        content = {
            "about": self.about,
            "notes": self.notes,
            "unreliable": sorted(self.unreliable),
            "figures": [_rounded({**asdict(figure), "ratios": figure.ratios}) for figure in self.figures],
            "tables": _rounded(self.tables),
            "runs": _rounded(self.runs),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n")


def read(path: Path) -> Result:
    """A result file as `Result.write` wrote it."""
    try:
        content = json.loads(path.read_text())
        figures = [
            Figure(figure["key"], figure["title"], figure["unit"], figure["values"])
            for figure in content["figures"]
        ]
        return Result(
            content["about"],
            figures,
            content["notes"],
            content["runs"],
            set(content["unreliable"]),
            content.get("tables", {}),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadResult(f"{path}: {error!r}") from error


def _rounded(value: object) -> object:
    """Five significant digits: more would be noise, and differ in every commit."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return value
