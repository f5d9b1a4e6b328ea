"""A result as people read it: every figure in tables, on the terminal or in Markdown, with the bars it is
held to. bench.brief makes the README's few rows of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from bench import bars
from bench.figures import PRODUCT, Figure, Result

WIDTH = 110  # where there is no terminal to ask
LONG = 40  # rows; longer tables are courses over time, which the report draws
# Column order: the product, then its references.
COLUMNS = {
    PRODUCT: "voiceplane",
    "sdk_bridge": "SDK bridge",
    "relay": "bare relay",
    "lookup": "μ-law table look-up",
    "obvious": "plain Python",
}
# Counts, which should be 0; and the filter's delay, which a bridge that holds audio back adds elsewhere.
NO_RATIO = ("filter_", "lost_", "bursts_lost_", "gaps_")


TABLES = {
    "resamplers": "Resamplers",
    "ceiling": "Calls on one core, step by step",
    "steady": "Steady state",
    "hygiene": "Frames beside other work",
    "tls": "TLS towards the model",
    "scaling": "Worker processes",
}


@dataclass(frozen=True)
class Grid:
    """A table of text: the first column says what its row is about."""

    title: str
    columns: list[str]
    rows: list[list[str]]


def show(result: Result) -> None:
    """Print every table, the bars and the notes to standard output."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    for grid in grids(result):
        table = Table(title=grid.title, title_justify="left")
        for number, column in enumerate(grid.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in grid.rows:
            table.add_row(*row)
        console.print(table)
    for judged in bars.judge(result):
        if judged.value is not None:
            colour = {True: "green", False: "red", None: "yellow"}[judged.met]
            console.print(f"[{colour}]{judged.word:>10}[/]  {judged.bar.figure} {judged}", highlight=False)
    for note in result.notes:
        console.print(f"[yellow]{note}[/]", highlight=False)


def markdown(result: Result, source: str) -> str:
    """Every group as a table, under a line that says where the numbers come from."""
    lines = [
        f"{origin(result, source)} In brackets: voiceplane ÷ reference.",
        *(f"\n**{note}**" for note in result.notes),
    ]
    for grid in grids(result):
        head = [grid.title, *grid.columns[1:]] if not grid.columns[0] else grid.columns
        lines += ["", f"| {' | '.join(head)} |", "|---|" + "---:|" * (len(head) - 1)]
        lines += [f"| {' | '.join(row)} |" for row in grid.rows]
    return "\n".join(lines) + "\n"


def origin(result: Result, source: str) -> str:
    """Where the numbers come from, in a sentence."""
    machine, commit = result.about.get("machine"), str(result.about.get("commit", ""))[:10]
    cpu = f"{machine['cpu']}, {machine['cores']} cores" if isinstance(machine, dict) else "unknown machine"
    day = str(result.about.get("started_at"))[:10]
    return f"From `{source}`: {cpu}, {result.about.get('python')}, commit `{commit}`, {day}."


def grids(result: Result) -> list[Grid]:
    """The figures by number of calls, then the tables that are not courses over time."""
    by_level: dict[str, list[Figure]] = {}
    for figure in result.figures:
        by_level.setdefault(figure.key.partition("@")[2], []).append(figure)
    made = []
    for level, figures in by_level.items():
        names = [name for name in COLUMNS if any(name in figure.values for figure in figures)]
        title = {"": "Whatever the number of calls", "1": "1 call"}.get(level, f"{level} calls at once")
        made.append(Grid(title, ["", *(COLUMNS[name] for name in names)], [_row(f, names) for f in figures]))
    return made + [
        _grid(TABLES.get(name, name), rows) for name, rows in result.tables.items() if 0 < len(rows) <= LONG
    ]


def _grid(title: str, rows: list[dict[str, object]]) -> Grid:
    """Rows as they were written, under their own names; what is no single value is left to the charts."""
    columns = list(
        dict.fromkeys(key for row in rows for key, value in row.items() if not isinstance(value, dict | list))
    )
    heads = [column.replace("_", " ") for column in columns]
    return Grid(title, heads, [[cell(row.get(column)) for column in columns] for row in rows])


def cell(value: object) -> str:
    """One value, as short as it can be said."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return number(value)
    return COLUMNS.get(str(value), str(value))


def number(value: float) -> str:
    """Three digits, whole numbers whole."""
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"


def _row(figure: Figure, names: list[str]) -> list[str]:
    return [
        figure.title + (f", {figure.unit}" if figure.unit else ""),
        *(_cell(figure, name) for name in names),
    ]


def _cell(figure: Figure, name: str) -> str:
    value = figure.values.get(name)
    if value is None:
        return ""
    counted = name == PRODUCT or figure.key.startswith(NO_RATIO)
    ratio = None if counted else figure.ratio(name)
    return number(value) if ratio is None else f"{number(value)} ({ratio:.2g}×)"
