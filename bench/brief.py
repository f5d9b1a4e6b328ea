"""The rows of a result that README shows, each with the bar it is held to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import bars
from bench.figures import PRODUCT, BadResult, Result
from bench.table import COLUMNS, number, origin

BEGIN: Final = "<!-- bench table: begin -->"
END: Final = "<!-- bench table: end -->"
SYSTEMS: Final = (PRODUCT, "sdk_bridge", "relay")
LEVELS: Final = (1, 50, 400)
WAYS: Final = {"up": "caller → model", "down": "model → caller"}


@dataclass(frozen=True)
class Row:
    """One row; several figures share a cell: `0.15 / 0.5`."""

    title: str
    keys: tuple[str, ...]


def _rows() -> list[Row]:
    delays = [
        Row(
            f"{calls} call{'s' if calls > 1 else ''}: added delay {arrow}, p50 / p99, ms",
            (f"delay_{way}_p50_ms@{calls}", f"delay_{way}_p99_ms@{calls}"),
        )
        for calls in LEVELS
        for way, arrow in WAYS.items()
    ]
    return [
        Row("calls on one core, p99 added delay ≤ 20 ms, none lost", ("ceiling_calls",)),
        *delays,
        Row("CPU per call-second at 50 calls, ms", ("cpu_ms_per_call_s@50",)),
        Row("memory per call at 50 calls, kB", ("rss_kb_per_call@50",)),
        Row("filter delay caller → model / model → caller, ms", ("filter_up_ms@50", "filter_down_ms@50")),
        Row("one fused kernel, caller → model / model → caller, µs", ("kernel_up_us", "kernel_down_us")),
        Row("objects left per frame, each way", ("objects_per_frame_up", "objects_per_frame_down")),
        Row("full collections in a long run", ("steady_full_collections",)),
    ]


def markdown(result: Result, source: str) -> str:
    """README's table. A bar that was missed says so in bold."""
    heads = ["", *(COLUMNS[name] for name in SYSTEMS), "bar"]
    lines = [
        origin(result, source),
        *(f"\n**{note}**" for note in result.notes),
        "",
        f"| {' | '.join(heads)} |",
        "|---|" + "---:|" * len(SYSTEMS) + "---|",
    ]
    for row in _rows():
        if any(result.figure(key) for key in row.keys):
            cells = [_cell(result, row, name) for name in SYSTEMS]
            lines.append(f"| {' | '.join([row.title, *cells, _bars(result, row)])} |")
    return "\n".join(lines) + "\n"


def _cell(result: Result, row: Row, name: str) -> str:
    found = [figure.values.get(name) if (figure := result.figure(key)) else None for key in row.keys]
    if all(value is None for value in found):
        return "overloaded" if all(_drowned(result, key, name) for key in row.keys) else ""
    return " / ".join("–" if value is None else number(value) for value in found)


def _drowned(result: Result, key: str, name: str) -> bool:
    """Whether the figure is missing because these were more calls than the system carries."""
    calls = key.partition("@")[2]
    return any(
        level["system"] == name and str(level["calls"]) == calls and level["carried"] != "yes"
        for level in result.tables.get("levels", ())
    )


def _bars(result: Result, row: Row) -> str:
    judged = [each for each in bars.judge(result) if each.bar.figure in row.keys and each.value is not None]
    return "; ".join(f"**{each}**" if each.met is False else str(each) for each in judged)


def put_into(readme: Path, table: str) -> None:
    """Replace what stands between BEGIN and END. Raises BadResult when the markers are missing."""
    text = readme.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        raise BadResult(f"{readme} has no lines {BEGIN} and {END}")
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    readme.write_text(f"{head}{BEGIN}\n{table}{END}{tail}", encoding="utf-8")
