"""Alembic's commands on our own script folder, for one database. Blocking: not for an event loop."""

from __future__ import annotations

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Engine, create_engine
from sqlalchemy.pool import NullPool

CONNECT_S = 10


def upgrade(database_url: str, revision: str = "head") -> str:
    """Bring the schema to `revision`; make the database when the server has none of that name.

    Two of these may run at once: the second waits and finds nothing to do.

    Returns:
        The revision the database is at now; empty: none.

    Raises:
        psycopg.OperationalError, sqlalchemy.exc.OperationalError: the server can't be reached.
        alembic.util.CommandError: no such revision.
    """
    create_database(database_url)
    command.upgrade(_config(database_url), revision)
    return current(database_url)


def downgrade(database_url: str, revision: str = "-1") -> str:
    """Take the schema back to `revision`; `base` removes everything. Returns the revision it is at now."""
    command.downgrade(_config(database_url), revision)
    return current(database_url)


def current(database_url: str) -> str:
    """The revision the database is at; empty: none."""
    engine = new_engine(database_url)
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision() or ""


def history() -> list[tuple[str, str]]:
    """Every revision, newest first, with what it does."""
    scripts = ScriptDirectory.from_config(_config(""))
    return [(script.revision, script.doc) for script in scripts.walk_revisions()]


def create_database(database_url: str) -> bool:
    """Make the database `database_url` names, through the server's own `postgres`; False: it exists."""
    parts = conninfo_to_dict(database_url)
    name = str(parts.get("dbname") or "postgres")
    try:
        psycopg.connect(database_url, connect_timeout=CONNECT_S).close()
        return False
    except psycopg.OperationalError as error:
        if f'database "{name}" does not exist' not in str(error):
            raise
    server = make_conninfo(database_url, dbname="postgres", connect_timeout=CONNECT_S)
    with psycopg.connect(server, autocommit=True) as connection:
        try:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except (psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation):
            return False  # somebody else made it in this very moment
    return True


def new_engine(database_url: str) -> Engine:
    """An engine whose connections psycopg itself opens, so that every form of address it takes works."""
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(database_url, connect_timeout=CONNECT_S),
        poolclass=NullPool,
    )


def _config(database_url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["database_url"] = database_url
    return config
