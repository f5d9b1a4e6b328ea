"""Alembic runs this file for every command that touches the database."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from control_plane.migrations.commands import new_engine
from control_plane.migrations.tables import metadata

# Held while migrating, so that two starting processes do not migrate at once. Any constant would do.
_LOCK = 7_309_114_558


def _run() -> None:
    engine = new_engine(context.config.attributes["database_url"])
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata, compare_type=True)
        with context.begin_transaction():
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            context.run_migrations()


_run()
