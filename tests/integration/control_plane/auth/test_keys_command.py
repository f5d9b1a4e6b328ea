"""`voiceplane keys` over the real database."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from control_plane.auth.keys import id_of
from control_plane.cli.app import app
from tests.support.stack import Servers


@pytest.fixture
def name() -> str:
    return f"test {uuid.uuid4().hex}"


def run(database_url: str, *words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["keys", *words], env={"DATABASE_URL": database_url})
    return result.exit_code, result.stdout.strip(), result.stderr.strip()


def listed(servers: Servers, name: str) -> dict[str, Any]:
    status, text, _ = run(servers.database_url, "list", "--json")
    assert status == 0
    found: dict[str, Any] = next(key for key in json.loads(text) if key["name"] == name)
    return found


def test_a_key_is_shown_once_and_kept_hashed(servers: Servers, name: str) -> None:
    status, text, note = run(servers.database_url, "create", name)

    assert status == 0
    assert "only time" in note
    key = listed(servers, name)
    assert key["id"] == id_of(text)
    assert (key["scopes"], key["state"]) == (["call", "read"], "active")
    assert (key["expires_at"], key["last_used_at"]) == (None, None)
    with psycopg.connect(servers.database_url) as connection:
        row = connection.execute("SELECT * FROM api_keys WHERE id = %s", (key["id"],)).fetchone()
    assert text not in str(row)
    assert text.rpartition("_")[2] not in str(row)
    assert text not in run(servers.database_url, "list")[1]
    assert key["id"] in run(servers.database_url, "list")[1]


def test_scopes_and_expiry(servers: Servers, name: str) -> None:
    status, text, _ = run(
        servers.database_url, "create", name, "--scopes", "admin, read", "--expires", "90d", "--json"
    )

    assert status == 0
    made = json.loads(text)
    assert made["scopes"] == ["admin", "read"]
    left = datetime.fromisoformat(made["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89, hours=23) < left <= timedelta(days=90)
    assert {field: value for field, value in made.items() if field != "key"} == listed(servers, name)


def test_a_revoked_key_stays_listed_as_such(servers: Servers, name: str) -> None:
    _, text, _ = run(servers.database_url, "create", name)

    # The id, or the whole key as it was found somewhere.
    assert run(servers.database_url, "revoke", text)[0] == 0
    first = listed(servers, name)
    assert first["state"] == "revoked"
    assert run(servers.database_url, "revoke", first["id"])[0] == 0
    assert listed(servers, name) == first
    assert run(servers.database_url, "revoke", "nosuchkey") == (1, "", "error: there is no such key")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--scopes", "write"], "--scopes"),
        (["--scopes", ""], "--scopes"),
        (["--expires", "soon"], "--expires"),
        (["--expires", "2020-01-01"], "--expires: must be in the future"),
        (["--expires", "99999999w"], "--expires"),
    ],
)
def test_what_can_not_be_granted_is_a_sentence(
    servers: Servers, name: str, words: list[str], why: str
) -> None:
    status, text, error = run(servers.database_url, "create", name, *words)
    assert (status, text) == (1, "")
    assert error.startswith(f"error: {why}")


def test_a_nameless_key_is_refused(servers: Servers) -> None:
    assert run(servers.database_url, "create", " ")[0] == 1


def test_a_database_that_is_not_there_or_empty_is_a_sentence(servers: Servers) -> None:
    status, _, error = run("postgresql://nobody@127.0.0.1:1/none", "list")
    assert status == 1
    assert error.startswith("error: postgres is unavailable")

    status, _, error = run(servers.database_url.rpartition("/")[0] + "/postgres", "list")
    assert (status, error) == (
        1,
        "error: the database has no table of keys: `voiceplane db upgrade` makes it",
    )


def test_without_a_setting_the_database_is_that_of_the_stack_that_runs(
    servers: Servers, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from control_plane.devstack.datadir import DataDir

    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    folder = DataDir(tmp_path / "data")
    folder.open(wait_s=1)
    try:
        folder.state_file.write_text(json.dumps({"env": {"DATABASE_URL": servers.database_url}}))
        result = CliRunner().invoke(app, ["keys", "create", name, "--data-dir", str(folder.path)])
    finally:
        folder.close()
    assert result.exit_code == 0, result.output
    assert listed(servers, name)["state"] == "active"
