"""What the bench measures and writes: figures, each with its references' values from the same run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

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


class Measured(Protocol):
    """What one part of the bench found."""

    figures: list[Figure]
    runs: list[dict[str, object]]
    notes: list[str]
    unreliable: set[str]
    tables: dict[str, list[dict[str, object]]]


@dataclass
class Result:
    """What the bench measured: where, when and how, part by part."""

    about: dict[str, object]
    figures: list[Figure]
    notes: list[str] = field(default_factory=list)  # what makes the numbers doubtful, if anything
    runs: list[dict[str, object]] = field(default_factory=list)  # each load run by itself
    unreliable: set[str] = field(default_factory=set)  # keys of figures that the notes throw doubt on
    # What is no single figure: resamplers, ceiling, steady, hygiene, scaling, tls; each a list of rows.
    tables: dict[str, list[dict[str, object]]] = field(default_factory=dict)
    # Part -> its command, commit and time, and the keys of its figures and the names of its tables.
    parts: dict[str, dict[str, object]] = field(default_factory=dict)

    def figure(self, key: str) -> Figure | None:
        return next((figure for figure in self.figures if figure.key == key), None)

    def take(self, part: str, made: Mapping[str, object], measured: Measured) -> None:
        """Add what a part found, in place of what the same part found before. `made`: when and how."""
        self._drop(part)
        fresh = {figure.key for figure in measured.figures}
        self.figures = [figure for figure in self.figures if figure.key not in fresh] + measured.figures
        self.unreliable = self.unreliable - fresh | measured.unreliable
        self.runs += [{"part": part, **run} for run in measured.runs]
        self.notes += [f"{part}: {note}" for note in measured.notes]
        self.tables |= measured.tables
        self.parts[part] = {**made, "figures": sorted(fresh), "tables": sorted(measured.tables)}

    def _drop(self, part: str) -> None:
        before = self.parts.pop(part, None)
        if before is None:
            return
        figures, tables = before.get("figures"), before.get("tables")
        gone = set(figures) if isinstance(figures, list) else set()
        self.figures = [figure for figure in self.figures if figure.key not in gone]
        self.unreliable -= gone
        self.runs = [run for run in self.runs if run.get("part") != part]
        self.notes = [note for note in self.notes if not note.startswith(f"{part}: ")]
        for table in tables if isinstance(tables, list) else []:
            self.tables.pop(table, None)

    def to_json(self) -> str:
        content = {
            "about": self.about,
            "parts": self.parts,
            "notes": self.notes,
            "unreliable": sorted(self.unreliable),
            "figures": [_rounded({**asdict(figure), "ratios": figure.ratios}) for figure in self.figures],
            "tables": _rounded(self.tables),
            "runs": _rounded(self.runs),
        }
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.to_json(), encoding="utf-8")


def read(path: Path) -> Result:
    """A result file as `Result.write` wrote it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
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
            content.get("parts", {}),
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
