"""A result as people read it: a table on the terminal, and one in Markdown for the README."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.figures import PRODUCT, BadResult, Figure, Result

BEGIN = "<!-- bench table: begin -->"
END = "<!-- bench table: end -->"
WIDTH = 110  # where there is no terminal to ask
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


def show(result: Result) -> None:
    """Print every group of figures, and the notes, to standard output."""
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    for title, columns, rows in _groups(result):
        table = Table(title=title, title_justify="left")
        table.add_column("")
        for column in columns:
            table.add_column(column, justify="right")
        for row in rows:
            table.add_row(*row)
        console.print(table)
    for note in result.notes:
        console.print(f"[yellow]{note}[/]")


def markdown(result: Result, source: str) -> str:
    """Every group as a table, under a line that says where the numbers come from."""
    machine, commit = result.about.get("machine"), str(result.about.get("commit", ""))[:10]
    cpu = f"{machine['cpu']}, {machine['cores']} cores" if isinstance(machine, dict) else "unknown machine"
    lines = [
        f"From `{source}`: {cpu}, {result.about.get('python')}, commit `{commit}`, "
        f"{str(result.about.get('started_at'))[:10]}. In brackets: voiceplane ÷ reference.",
        *(f"\n**{note}**" for note in result.notes),
    ]
    for title, columns, rows in _groups(result):
        lines += ["", f"| {title} | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
        lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def put_into(readme: Path, table: str) -> None:
    """Replace what stands between BEGIN and END. Raises BadResult when the markers are missing."""
    text = readme.read_text()
    if BEGIN not in text or END not in text:
        raise BadResult(f"{readme} has no lines {BEGIN} and {END}")
    head, rest = text.split(BEGIN, 1)
    tail = rest.split(END, 1)[1]
    readme.write_text(f"{head}{BEGIN}\n{table}{END}{tail}")


def _groups(result: Result) -> list[tuple[str, list[str], list[list[str]]]]:
    """(title, column heads, rows) per set of figures that have the same references."""
    by_level: dict[str, list[Figure]] = {}
    for figure in result.figures:
        by_level.setdefault(figure.key.partition("@")[2], []).append(figure)
    groups = []
    for level, figures in by_level.items():
        names = [name for name in COLUMNS if any(name in figure.values for figure in figures)]
        title = {"": "One frame", "1": "One call"}.get(level, f"{level} calls at once")
        groups.append((title, [COLUMNS[name] for name in names], [_row(figure, names) for figure in figures]))
    return groups


def _row(figure: Figure, names: list[str]) -> list[str]:
    return [
        figure.title + (f", {figure.unit}" if figure.unit else ""),
        *(_cell(figure, name) for name in names),
    ]


def _cell(figure: Figure, name: str) -> str:
    value = figure.values.get(name)
    if value is None:
        return ""
    shown = f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.3g}"
    counted = name == PRODUCT or figure.key.startswith(NO_RATIO)
    ratio = None if counted else figure.ratio(name)
    return shown if ratio is None else f"{shown} ({ratio:.2g}×)"
