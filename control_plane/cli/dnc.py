"""`voiceplane dnc`: the do-not-call list."""

from __future__ import annotations

import json as json_lib
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from control_plane.cli.policy_session import asker, run

if TYPE_CHECKING:
    from control_plane.service.dialing_rules import DialingRules

app = typer.Typer(no_args_is_help=True, help="The do-not-call list: numbers that are never called.")

Number = Annotated[str, typer.Argument(help="E.164, like +15551234567.")]
Reason = Annotated[str, typer.Option(help="Why, for the audit.")]
IMPORT_BATCH = 1000


@app.command()
def add(number: Number, reason: Reason = "") -> None:
    """Never call a number again; a call to it that waits for its turn is not made either."""
    added = _add([_checked(number)], reason)
    typer.echo(f"{number} is on the list" if added else f"{number} was on the list already")


@app.command()
def remove(number: Number) -> None:
    """Take a number off the list."""

    async def work(rules: DialingRules) -> bool:
        return await rules.remove(number, asker())

    if not run(work):
        typer.echo(f"error: {number} is not on the list", err=True)
        raise typer.Exit(1)
    typer.echo(f"{number} is off the list")


@app.command(name="list")
def list_(json: Annotated[bool, typer.Option("--json", help="Print JSON, an entry a line.")] = False) -> None:
    """Print the list, in the order of numbers."""
    after = ""
    while True:

        async def work(rules: DialingRules, after: str = after) -> list[dict[str, str]]:
            return [asdict(each) for each in await rules.page(after, IMPORT_BATCH)]

        entries = run(work)
        for each in entries:
            line = json_lib.dumps(each) if json else f"{each['number']:16} {each['at']}  {each['reason']}"
            typer.echo(line.rstrip())
        if len(entries) < IMPORT_BATCH:
            return
        after = entries[-1]["number"]


@app.command(name="import")
def import_(
    path: Annotated[
        Path, typer.Argument(help="A number a line, or CSV with the number first; - reads stdin.")
    ],
    reason: Reason = "",
) -> None:
    """Put all numbers of a file on the list, or none when one of them is no number."""
    try:
        lines = sys.stdin.readlines() if str(path) == "-" else path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        typer.echo(f"error: {path}: {error}", err=True)
        raise typer.Exit(1) from None
    numbers = list(_numbers(lines))
    added = sum(
        _add(numbers[start : start + IMPORT_BATCH], reason) for start in range(0, len(numbers), IMPORT_BATCH)
    )
    typer.echo(f"{len(numbers)} numbers read, {added} of them new on the list")


def _numbers(lines: Iterable[str]) -> Iterable[str]:
    for count, line in enumerate(lines, 1):
        cell = line.split(",")[0].strip().strip('"')
        if cell and not cell.startswith("#"):
            yield _checked(cell, f"line {count}: ")


def _checked(number: str, where: str = "") -> str:
    from control_plane.domain.calls import phone_number

    try:
        return phone_number(number)
    except ValueError as error:
        typer.echo(f"error: {where}{number!r} {error}", err=True)
        raise typer.Exit(2) from None


def _add(numbers: list[str], reason: str) -> int:
    async def work(rules: DialingRules) -> int:
        return len(await rules.add(numbers, asker(), reason))

    return run(work)
