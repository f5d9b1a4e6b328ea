"""`voiceplane db` on a database of its own."""

from __future__ import annotations

import uuid

import psycopg
import pytest
from typer.testing import CliRunner

from control_plane.cli.app import app
from tests.support.stack import Servers


@pytest.fixture
def database_url(servers: Servers) -> str:
    """A database that does not exist yet."""
    return servers.database_url.rpartition("/")[0] + f"/db_{uuid.uuid4().hex}"


def db(database_url: str, *words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["db", *words], env={"DATABASE_URL": database_url})
    return result.exit_code, result.stdout.strip(), result.stderr.strip()


def test_up_and_down_again(database_url: str) -> None:
    status, head, _ = db(database_url, "upgrade")
    assert status == 0
    assert db(database_url, "current") == (0, head, "")
    with psycopg.connect(database_url) as connection:
        connection.execute("SELECT * FROM calls")
    assert db(database_url, "downgrade", "-1")[0] == 0
    assert db(database_url, "downgrade", "base") == (0, "(none)", "")


def test_history_needs_no_database() -> None:
    status, text, _ = db("postgresql://nobody@127.0.0.1:1/none", "history")
    assert status == 0
    assert text.splitlines()[-1].startswith("0001")


def test_a_server_that_is_not_there_is_a_sentence() -> None:
    status, _, error = db("postgresql://nobody@127.0.0.1:1/none", "current")
    assert status == 1
    assert error.startswith("error: ")
    assert "Traceback" not in error


def test_a_revision_that_is_not_there_is_a_sentence(database_url: str) -> None:
    status, _, error = db(database_url, "upgrade", "nonsense")
    assert status == 1
    assert "nonsense" in error
    assert "Traceback" not in error
