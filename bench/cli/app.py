"""The bench's command line. Measuring code is imported by the command that needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import holding, measuring, parts
from bench.cli.options import ALL_SYSTEMS, Into, Json, Levels, Out, Seconds, Short, Systems
from bench.figures import PRODUCT, BadResult, read

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Measure the media plane: what it adds to a call, what a call costs, how many it carries. "
    "Exit status: 0 fine, 1 the gate failed, 2 it could not be measured.",
)

FULL = Path("bench/results/full.json")


@app.command()
def micro(short: Short = False, as_json: Json = False, out: Out = None, into: Into = None) -> None:
    """One frame: kernels and session beside a table look-up and plain Python; the resamplers beside SOXR."""
    measuring.run("micro", parts.micro(short=short), as_json=as_json, out=out, into=into)


@app.command()
def load(
    calls: Annotated[int, typer.Option(min=1, help="At once.")] = 50,
    system: Systems = PRODUCT,
    seconds: Seconds = 8.0,
    as_json: Json = False,
    out: Out = None,
    into: Into = None,
) -> None:
    """One number of calls on one system (or on several, separated by commas)."""
    measure = parts.compare(levels=str(calls), system=system, rounds=1, seconds=seconds)
    measuring.run("load", measure, as_json=as_json, out=out, into=into)


@app.command()
def compare(
    levels: Levels = None,
    system: Systems = ALL_SYSTEMS,
    rounds: Annotated[int | None, typer.Option(min=1, help="Runs at each level.")] = None,
    seconds: Seconds = None,
    short: Short = False,
    as_json: Json = False,
    out: Out = None,
    into: Into = None,
) -> None:
    """The product, the SDK bridge and a bare relay under the same load, level by level."""
    measure = parts.compare(levels=levels, system=system, rounds=rounds, seconds=seconds, short=short)
    measuring.run("compare", measure, as_json=as_json, out=out, into=into)


@app.command()
def ceiling(short: Short = False, as_json: Json = False, out: Out = None, into: Into = None) -> None:
    """How many calls one core carries: p99 added delay at most 20 ms each way, nothing lost."""
    measuring.run("ceiling", parts.ceiling(short=short), as_json=as_json, out=out, into=into)


@app.command()
def steady(
    calls: Annotated[int | None, typer.Option(min=1, help="At once; default 100.")] = None,
    minutes: Annotated[float | None, typer.Option(min=0.1, help="Counted time; default 10.")] = None,
    short: Short = False,
    as_json: Json = False,
    out: Out = None,
    into: Into = None,
) -> None:
    """A long run: collections, objects, memory and late frames over time."""
    measure = parts.steady(calls=calls, minutes=minutes, short=short)
    measuring.run("steady", measure, as_json=as_json, out=out, into=into)


@app.command()
def hygiene(short: Short = False, as_json: Json = False, out: Out = None, into: Into = None) -> None:
    """Frames beside everything else the node does: metrics scraped, calls prepared, events written."""
    measuring.run("hygiene", parts.hygiene(short=short), as_json=as_json, out=out, into=into)


@app.command()
def tls(short: Short = False, as_json: Json = False, out: Out = None, into: Into = None) -> None:
    """What TLS towards the model adds."""
    measuring.run("tls", parts.tls(short=short), as_json=as_json, out=out, into=into)


@app.command()
def scaling(short: Short = False, as_json: Json = False, out: Out = None, into: Into = None) -> None:
    """One worker process and two: calls carried, or the cost of a call on each."""
    measuring.run("scaling", parts.scaling(short=short), as_json=as_json, out=out, into=into)


@app.command("all")
def everything(short: Short = False, as_json: Json = False, out: Out = FULL, into: Into = None) -> None:
    """Every part, one after another, into one result file (about half an hour)."""
    out = None if into is not None else out
    measuring.run_all(parts.every(short=short), as_json=as_json, out=out, into=into)


@app.command()
def gate(
    only: Annotated[list[str] | None, typer.Option(help="Only `micro` or `load`.")] = None,
    baseline: Annotated[Path, typer.Option(help="What to hold it to.")] = holding.BASELINE,
    calibrate: Annotated[
        int | None, typer.Option(min=2, help="Measure so many times and rewrite the baseline from that.")
    ] = None,
    as_json: Json = False,
    out: Out = None,
) -> None:
    """About a minute, held to a baseline by ratios: exit status 1, and the line's name, when it got worse."""
    chosen = parts.gated()
    if unknown := set(only or ()) - chosen.keys():
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: the parts are {', '.join(chosen)}")
    chosen = {part: measure for part, measure in chosen.items() if not only or part in only}
    if calibrate is not None:
        holding.calibrate(chosen, baseline, calibrate)
    else:
        holding.run(chosen, baseline, as_json=as_json, out=out)


File = Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A result file.")]


@app.command()
def table(
    file: File,
    into: Annotated[Path | None, typer.Option(help="Put it between this file's bench-table markers.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Every figure, not only those of note.")] = False,
) -> None:
    """A result as a Markdown table, with the bars it is held to."""
    from bench import brief
    from bench import table as tables

    try:
        result = read(file)
        text = tables.markdown(result, str(file)) if full else brief.markdown(result, str(file))
        if into is not None:
            brief.put_into(into, text)
    except BadResult as error:
        raise typer.BadParameter(str(error)) from error
    print(text, end="")


@app.command()
def report(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="Result files.")],
    out: Annotated[Path, typer.Option("--out", dir_okay=False, help="The page.")] = Path("bench-report.html"),
    png: Annotated[Path | None, typer.Option("--png", file_okay=False, help="Folder for the charts.")] = None,
) -> None:
    """One self-contained HTML page of results: figures, bars, charts; by --png the charts as files too."""
    from bench.report import page

    try:
        results = {file: read(file) for file in files}
    except BadResult as error:
        raise typer.BadParameter(str(error)) from error
    for path in page.write(results, out, png):
        measuring.console.print(f"written to {path}", highlight=False)
