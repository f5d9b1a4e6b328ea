"""`voiceplane keys`: API keys, in the database that DATABASE_URL names."""

from __future__ import annotations

import asyncio
import json as json_lib
import logging
import os
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Never, TypeVar

import typer

from control_plane.devstack.options import StackOptions

if TYPE_CHECKING:
    from control_plane.adapters.postgres_keys import PostgresKeys
    from control_plane.auth.keys import ApiKey

app = typer.Typer(no_args_is_help=True, help="API keys (docs/auth.md).")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DataDir = Annotated[
    Path, typer.Option(help="A stack that runs: its database, unless DATABASE_URL names another.")
]

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_Result = TypeVar("_Result")


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who or what it is for, for people.")],
    scopes: Annotated[
        str, typer.Option(help="What it is good for: read, call, admin (for all).")
    ] = "read,call",
    expires: Annotated[
        str, typer.Option(help="After so long (90d, 12h), or at a time (2027-01-31); empty: never.")
    ] = "",
    json: Json = False,
    data_dir: DataDir = StackOptions.data_dir,
) -> None:
    """Make a key and print it: it is shown this once, and not kept."""
    from control_plane.auth.keys import generate
    from control_plane.domain.principal import Scope

    now = datetime.now(UTC)
    try:
        granted = frozenset(Scope(word.strip()) for word in scopes.split(","))
    except ValueError:
        _fail(f"--scopes: must be among {', '.join(Scope)}, with commas between them")
    try:
        text, key = generate(name, granted, now, _expiry(expires, now))
    except ValueError as error:
        _fail(str(error))
    _run(data_dir, lambda keys: keys.add(key))
    if json:
        typer.echo(json_lib.dumps(_shown(key, now) | {"key": text}))
        return
    typer.echo(text)
    typer.echo("This is the only time it is shown. Send it as `Authorization: Bearer …`.", err=True)


@app.command(name="list")
def list_(json: Json = False, data_dir: DataDir = StackOptions.data_dir) -> None:
    """Print every key, without its secret."""
    found: Sequence[ApiKey] = _run(data_dir, lambda keys: keys.all())
    now = datetime.now(UTC)
    rows = [_shown(key, now) for key in found]
    if json:
        typer.echo(json_lib.dumps(rows))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("id", "name", "scopes", "state", "expires", "last used", box=None, pad_edge=False)
    for row in rows:
        table.add_row(
            row["id"],
            row["name"],
            ",".join(row["scopes"]),
            row["state"],
            row["expires_at"] or "never",
            row["last_used_at"] or "never",
        )
    Console(soft_wrap=True).print(table)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id, or the whole key.")],
    json: Json = False,
    data_dir: DataDir = StackOptions.data_dir,
) -> None:
    """End a key for good: within ten seconds, no server takes it any more."""
    from control_plane.auth.keys import id_of

    now = datetime.now(UTC)
    found: ApiKey | None = _run(data_dir, lambda keys: keys.revoke(id_of(key) or key, now))
    if found is None:
        _fail("there is no such key")
    if json:
        typer.echo(json_lib.dumps(_shown(found, now)))
    else:
        typer.echo(f"{found.id} ({found.name}) is revoked")


def _shown(key: ApiKey, now: datetime) -> dict[str, Any]:
    def iso(moment: datetime | None) -> str | None:
        return moment.isoformat(timespec="seconds") if moment is not None else None

    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "state": key.state(now),
        "created_at": iso(key.created_at),
        "expires_at": iso(key.expires_at),
        "revoked_at": iso(key.revoked_at),
        "last_used_at": iso(key.last_used_at),
    }


def _expiry(text: str, now: datetime) -> datetime | None:
    """Raises ValueError."""
    if not text:
        return None
    span = re.fullmatch(r"([1-9][0-9]{0,4})([mhdw])", text)
    try:
        if span:
            return now + timedelta(**{_UNITS[span[2]]: int(span[1])})
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError("--expires: must be like 90d, 12h or 2027-01-31T12:00 (UTC)") from None
    if moment <= now:
        raise ValueError("--expires: must be in the future")
    return moment


def _run(data_dir: Path, work: Callable[[PostgresKeys], Awaitable[_Result]]) -> _Result:
    import psycopg

    from control_plane.adapters.postgres_keys import PostgresKeys
    from control_plane.errors import DependencyUnavailable

    # Every attempt to connect would be a line; the last word is said below.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)

    async def main() -> _Result:
        keys = PostgresKeys(_database_url(data_dir))
        try:
            return await work(keys)
        finally:
            await keys.close()

    try:
        return asyncio.run(main())
    except DependencyUnavailable as error:
        _fail(str(error))
    except psycopg.errors.UndefinedTable:
        _fail("the database has no table of keys: `voiceplane db upgrade` makes it")


def _database_url(data_dir: Path) -> str:
    """Of the settings; when they name none, of the stack that runs."""
    from control_plane.devstack.datadir import DataDir as Folder
    from control_plane.settings import Settings

    url = Settings().database_url
    if "DATABASE_URL" in os.environ or url != Settings.model_fields["database_url"].default:
        return url
    state = Folder(data_dir).read_state()
    return str(state["env"]["DATABASE_URL"]) if state is not None else url


def _fail(message: str) -> Never:
    typer.echo(f"error: {message}", err=True)
    raise typer.Exit(1)
