"""`python -m control_plane.migrations upgrade|downgrade|current|history [revision]` on DATABASE_URL."""

from __future__ import annotations

import argparse
import sys

import psycopg
from alembic.util import CommandError
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from control_plane import migrations
from control_plane.settings import Settings


def main(argv: list[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 with a sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m control_plane.migrations", description=__doc__)
    parser.add_argument("command", choices=("upgrade", "downgrade", "current", "history"))
    parser.add_argument("revision", nargs="?", default="")
    arguments = parser.parse_args(argv)
    try:
        lines = _run(arguments.command, arguments.revision, Settings().database_url)
    except (psycopg.Error, SQLAlchemyError, CommandError, ValidationError) as error:
        sys.stderr.write(f"{arguments.command}: {error}\n")
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _run(command: str, revision: str, database_url: str) -> list[str]:
    if command == "upgrade":
        return [migrations.upgrade(database_url, revision or "head") or "(none)"]
    if command == "downgrade":
        return [migrations.downgrade(database_url, revision or "-1") or "(none)"]
    if command == "current":
        return [migrations.current(database_url) or "(none)"]
    return [f"{name}  {what}" for name, what in migrations.history()]


if __name__ == "__main__":
    sys.exit(main())
