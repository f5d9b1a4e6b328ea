"""What the commands about dialing share: the policy over the settings' servers, and errors as sentences."""

from __future__ import annotations

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import typer

from control_plane.errors import DependencyUnavailable

if TYPE_CHECKING:
    from control_plane.service.dialing_rules import DialingRules

_T = TypeVar("_T")


def run(work: Callable[[DialingRules], Awaitable[_T]]) -> _T:
    """Do `work`; a server that is away ends the command with a sentence and status 1."""
    from control_plane import bootstrap
    from control_plane.settings import Settings

    async def session() -> _T:
        dialing = bootstrap.dialing(Settings())
        try:
            return await work(dialing.rules)
        finally:
            await dialing.close()

    try:
        return asyncio.run(session())
    except DependencyUnavailable as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None


def asker() -> str:
    """Who types, for the audit."""
    try:
        return f"cli:{getpass.getuser()}"
    except OSError:  # a user without a name, as in many containers
        return "cli"
