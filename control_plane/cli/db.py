"""`voiceplane db`: the schema of the database that DATABASE_URL names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The database's schema (DATABASE_URL).")

Revision = Annotated[str, typer.Argument(help="A revision's id, or +N or -N.")]


@app.command()
def upgrade(revision: Revision = "head") -> None:
    """Bring the schema up to a revision; the newest, unless one is named."""
    from control_plane import migrations

    with _plain_errors():
        typer.echo(migrations.upgrade(_database_url(), revision) or "(none)")


# `-1` is a revision here, not an option.
@app.command(context_settings={"ignore_unknown_options": True})
def downgrade(revision: Revision = "-1") -> None:
    """Take the schema back; by one revision, unless one is named (`base` removes everything)."""
    from control_plane import migrations

    with _plain_errors():
        typer.echo(migrations.downgrade(_database_url(), revision) or "(none)")


@app.command()
def current() -> None:
    """The revision the database is at."""
    from control_plane import migrations

    with _plain_errors():
        typer.echo(migrations.current(_database_url()) or "(none)")


@app.command()
def history() -> None:
    """Every revision, newest first."""
    from control_plane import migrations

    for name, what in migrations.history():
        typer.echo(f"{name}  {what}")


def _database_url() -> str:
    from control_plane.settings import Settings

    return Settings().database_url


@contextmanager
def _plain_errors() -> Iterator[None]:
    """What a server or a wrong name leads to is a sentence, not a traceback."""
    import psycopg
    from alembic.util import CommandError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (psycopg.Error, SQLAlchemyError, CommandError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
