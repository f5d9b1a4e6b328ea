from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg import sql

from control_plane import migrations
from control_plane.migrations.commands import new_engine
from control_plane.migrations.tables import metadata
from tests.support.control import free_port
from tests.support.stack import Servers

HEAD = migrations.history()[0][0]


@pytest.fixture
async def new_database(servers: Servers) -> AsyncIterator[str]:
    """The address of a database that does not exist."""
    name = f"Odd name {uuid.uuid4().hex}"  # wants quoting
    yield urlunsplit(urlsplit(servers.database_url)._replace(path="/" + name.replace(" ", "%20")))
    async with await psycopg.AsyncConnection.connect(servers.database_url, autocommit=True) as admin:
        await admin.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))


def tables(database_url: str) -> set[str]:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {row[0] for row in rows} - {"alembic_version"}


async def test_up_down_and_up_again(new_database: str) -> None:
    assert await asyncio.to_thread(migrations.upgrade, new_database) == HEAD
    made = tables(new_database)
    assert made == {table.name for table in metadata.sorted_tables}

    assert await asyncio.to_thread(migrations.downgrade, new_database, "base") == ""
    assert tables(new_database) == set()
    assert await asyncio.to_thread(migrations.current, new_database) == ""

    assert await asyncio.to_thread(migrations.upgrade, new_database) == HEAD
    assert tables(new_database) == made


async def test_upgrading_twice_changes_nothing(new_database: str) -> None:
    for _ in range(2):
        assert await asyncio.to_thread(migrations.upgrade, new_database) == HEAD


async def test_processes_that_upgrade_at_once_agree(new_database: str) -> None:
    revisions = await asyncio.gather(
        *(asyncio.to_thread(_upgrade_by_command, new_database) for _ in range(2))
    )

    assert revisions == [f"{HEAD}\n"] * 2


async def test_the_migrations_make_the_schema_that_the_metadata_describes(new_database: str) -> None:
    await asyncio.to_thread(migrations.upgrade, new_database)
    with new_engine(new_database).connect() as connection:
        differences = compare_metadata(
            MigrationContext.configure(connection, opts={"compare_server_default": True}), metadata
        )

    assert differences == []


def test_history_lists_every_revision_with_what_it_does() -> None:
    assert migrations.history()[-1] == ("0001", "Calls, their transcripts, turns and media summaries.")


async def test_the_command_says_what_went_wrong_and_exits_1() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "control_plane.migrations", "current"),
        env=os.environ | {"DATABASE_URL": f"postgresql://postgres@127.0.0.1:{free_port()}/x"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()

    assert process.returncode == 1
    assert out == b""
    assert b"Connection refused" in error
    assert b"Traceback" not in error


def _upgrade_by_command(database_url: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "control_plane.migrations", "upgrade"],
        env=os.environ | {"DATABASE_URL": database_url},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
