"""`voiceplane numbers`: which stored agent answers which of our telephone numbers."""

from __future__ import annotations

import asyncio
import json as json_lib
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from control_plane.cli.policy_session import asker
from control_plane.errors import ControlPlaneError

if TYPE_CHECKING:
    from control_plane.service.numbers import Numbers

_T = TypeVar("_T")
app = typer.Typer(no_args_is_help=True, help="Which agent answers which of our numbers.")

E164 = Annotated[str, typer.Argument(help="E.164, like +15551234567.")]
PAGE = 500


@app.command(name="set")
def set_(
    number: E164,
    agent: Annotated[str, typer.Argument(help="The stored agent's name.")],
    variable: Annotated[
        list[str] | None, typer.Option(help="name=value, of the agent's texts; may come several times.")
    ] = None,
) -> None:
    """Let an agent answer a number."""
    variables = dict(_pair(each) for each in variable or [])

    async def work(numbers: Numbers) -> None:
        await numbers.put(_checked(number), agent, variables)

    _run(work)
    typer.echo(f"{agent} answers {number}")


@app.command()
def remove(number: E164) -> None:
    """Let nobody answer a number."""

    async def work(numbers: Numbers) -> bool:
        return await numbers.remove(number)

    typer.echo(f"nobody answers {number}" if _run(work) else f"nobody answered {number}")


@app.command(name="list")
def list_(json: Annotated[bool, typer.Option("--json", help="Print JSON, a number a line.")] = False) -> None:
    """Print the numbers, in their order."""
    after = ""
    while True:

        async def work(numbers: Numbers, after: str = after) -> list[dict[str, object]]:
            return [asdict(each) for each in await numbers.page(after, PAGE)]

        found = _run(work)
        for each in found:
            typer.echo(json_lib.dumps(each) if json else f"{each['number']:16} {each['agent']}")
        if len(found) < PAGE:
            return
        after = str(found[-1]["number"])


def _run(work: Callable[[Numbers], Awaitable[_T]]) -> _T:
    """Do `work`; what goes wrong ends the command with a sentence and status 1."""
    from control_plane import bootstrap
    from control_plane.domain.principal import Principal, Scope, acting
    from control_plane.settings import Settings

    async def session() -> _T:
        numbers, close = bootstrap.numbers(Settings())
        try:
            with acting(Principal(asker(), asker(), frozenset(Scope))):
                return await work(numbers)
        finally:
            await close()

    try:
        return asyncio.run(session())
    except ControlPlaneError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not found:
        typer.echo(f"error: {text!r} is not name=value", err=True)
        raise typer.Exit(2)
    return name, value


def _checked(number: str) -> str:
    from control_plane.domain.calls import phone_number

    try:
        return phone_number(number)
    except ValueError as error:
        typer.echo(f"error: {number!r} {error}", err=True)
        raise typer.Exit(2) from None
