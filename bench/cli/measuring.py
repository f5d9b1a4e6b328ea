"""Run one part of the bench, show it, write it: what every measuring command does."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from bench import machine, table
from bench.figures import BadResult, Measured, Result, read
from bench.load.generator import LoadFailed
from bench.load.process import ChildFailed

GATE_FAILED: Final = 1
NOT_MEASURED: Final = 2
BUSY: Final = 0.5  # load average before the start; above it something else was running
Say = Callable[[str], None]
Measure = Callable[[Say], Measured]

console = Console(stderr=True)


def under_load(run: Callable[[Path, Say], Awaitable[Measured]]) -> Measure:
    """Give an asynchronous part its loop, and its processes a folder for logs, kept only when it fails."""

    def measure(say: Say) -> Measured:
        logs = Path(tempfile.mkdtemp(prefix="voiceplane-bench-"))
        try:
            measured = asyncio.run(_awaited(run(logs, say)))
        except (ChildFailed, LoadFailed):
            console.print(f"the logs of its processes are in {logs}", highlight=False)
            raise
        shutil.rmtree(logs)
        return measured

    return measure


async def _awaited(measuring: Awaitable[Measured]) -> Measured:
    return await measuring


def add(result: Result, part: str, measure: Measure) -> None:
    """Measure one part and put what it found into `result`. Raises ChildFailed, LoadFailed or BadResult."""
    load_average = machine.load_average()
    made, began = machine.made(machine.command()), time.monotonic()
    with console.status(f"{part} …") as status:
        measured = measure(lambda text: status.update(f"{part}: {text}"))
    if load_average > BUSY and not result.parts:
        # Later parts find the bench's own earlier ones in the load average.
        measured.notes.append("provisional: the machine was busy with something else when it began")
    duration_s = round(time.monotonic() - began, 1)
    result.take(part, {**made, "duration_s": duration_s}, measured)


@contextlib.contextmanager
def or_give_up() -> Iterator[None]:
    """Ends the command with NOT_MEASURED and a sentence when something could not be measured."""
    # So that children are stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    except (ChildFailed, LoadFailed, BadResult) as error:
        console.print(f"[red]could not measure:[/] {error}", highlight=False)
        raise typer.Exit(NOT_MEASURED) from error


def run(part: str, measure: Measure, *, as_json: bool, out: Path | None, into: Path | None) -> None:
    """A whole measuring command."""
    run_all({part: measure}, as_json=as_json, out=out, into=into)


def run_all(parts: dict[str, Measure], *, as_json: bool, out: Path | None, into: Path | None) -> None:
    """Measure parts one after another, writing the file after each: a long run cut short has its first.

    A part that fails says so, also in the result, and the next one is measured; the exit status tells.
    """
    failed = []
    with or_give_up():
        result = read(into) if into is not None and into.exists() else new()
        for part, measure in parts.items():
            try:
                add(result, part, measure)
            except (ChildFailed, LoadFailed, BadResult) as error:
                failed.append(f"{part}: {error}")
                result.notes.append(f"{part}: could not be measured this time")
                console.print(f"{part} failed: {error}", style="red", highlight=False, markup=False)
                continue
            write(result, out, into)
        if len(failed) == len(parts):
            raise BadResult("; ".join(failed))
        write(result, out, into)
        present(result, as_json=as_json)
        if failed:
            raise BadResult("; ".join(failed))


def new() -> Result:
    return Result(machine.about(machine.command()), [])


def present(result: Result, *, as_json: bool) -> None:
    if as_json:
        print(result.to_json(), end="")
    else:
        table.show(result)


def write(result: Result, *paths: Path | None) -> None:
    for path in paths:
        if path is not None:
            result.write(path)
            console.print(f"written to {path}", highlight=False)
