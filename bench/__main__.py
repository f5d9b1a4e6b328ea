"""`python -m bench`: measure the media plane beside its references. `make bench` runs this.

`--short` holds the result to bench/baselines/short.json and exits with 1, naming the line, when it got worse.
`python -m bench table FILE` prints a result as Markdown.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench import gate, machine, table
from bench.figures import BadResult, Result, read
from bench.load import compare
from bench.load.generator import LoadFailed
from bench.load.process import ChildFailed
from bench.micro import frames

BASELINE = Path(__file__).parent / "baselines" / "short.json"
RESULTS = Path("bench/results")
BUSY = 0.5  # load average before the start; above it something else was running

app = typer.Typer(add_completion=False, help=__doc__)
console = Console(stderr=True)


class Part(StrEnum):
    MICRO = "micro"
    LOAD = "load"


@app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    short: Annotated[bool, typer.Option(help="Under a minute, and held to the baseline.")] = False,
    out: Annotated[Path | None, typer.Option(help="Result file; default: bench/results/….json")] = None,
    only: Annotated[Part | None, typer.Option(help="Measure only this part.")] = None,
    baseline: Annotated[Path, typer.Option(help="What --short is held to.")] = BASELINE,
) -> None:
    """Measure, show, write the result."""
    if context.invoked_subcommand is not None:
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that children are stopped
    parts = list(Part) if only is None else [only]
    began = time.monotonic()
    result = Result(machine.about(" ".join(["python -m bench", *sys.argv[1:]])), [])
    if machine.load_average() > BUSY:
        result.notes.append("provisional: the machine was busy with something else when the bench began")
    try:
        for part in parts:
            _add(result, part, short)
        verdicts = _held(result, parts, baseline) if short else []
    except (ChildFailed, LoadFailed, BadResult) as error:
        console.print(f"[red]bench failed:[/] {error}", highlight=False)
        raise typer.Exit(2) from error
    result.about["duration_s"] = round(time.monotonic() - began, 1)
    table.show(result)
    path = out or RESULTS / ("short.json" if short else "full.json")
    result.write(path)
    console.print(f"written to {path}")
    for verdict in verdicts:
        colour = "red" if verdict.failed else "" if verdict.held else "yellow"
        console.print(str(verdict), highlight=False, style=colour, soft_wrap=True)
    if any(verdict.failed for verdict in verdicts):
        raise typer.Exit(1)


@app.command("table")
def show_table(
    file: Annotated[Path, typer.Argument(help="A result file.")],
    into: Annotated[Path | None, typer.Option(help="Put it between this file's bench-table markers.")] = None,
) -> None:
    """Print a result as a Markdown table."""
    try:
        text = table.markdown(read(file), str(file))
        if into is not None:
            table.put_into(into, text)
    except BadResult as error:
        raise typer.BadParameter(str(error)) from error
    print(text, end="")


def _held(result: Result, parts: list[Part], baseline: Path) -> list[gate.Verdict]:
    """The gate's verdicts; what failed is measured once more, as a busy moment must not fail a build."""
    lines = [line for line in gate.load(baseline) if _part_of(line.figure) in parts]
    verdicts = gate.judge(result, lines)
    again = {_part_of(verdict.line.figure) for verdict in verdicts if not verdict.held}
    for part in sorted(again):
        failed = [verdict for verdict in verdicts if not verdict.held]
        console.print(f"measuring {part} again: " + "; ".join(map(str, failed)), highlight=False)
        second = Result(result.about, [], [f"{part} was measured twice; its figures are the second time's"])
        _add(second, part, short=True)
        result.replace(second)
    return gate.judge(result, lines)


def _part_of(key: str) -> Part:
    return Part.LOAD if "@" in key else Part.MICRO


def _add(result: Result, part: Part, short: bool) -> None:
    with console.status(f"{part} …") as status:
        if part is Part.MICRO:
            result.figures += frames.measure(frames.SHORT if short else frames.FULL)
            return
        with tempfile.TemporaryDirectory(prefix="voiceplane-bench-") as logs:
            plan = compare.SHORT if short else compare.FULL
            compared = asyncio.run(compare.compare(plan, Path(logs), lambda text: status.update(text)))
    result.figures += compared.figures
    result.runs += compared.runs
    result.notes += compared.notes
    result.unreliable |= compared.unreliable


if __name__ == "__main__":
    app()
