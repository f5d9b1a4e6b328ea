"""`voiceplane dialing` and `voiceplane dnc`, as a person types them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from pathlib import Path

import pytest

from tests.support.control import free_port
from tests.support.stack import Servers


class Shell:
    """Runs commands over the test's servers."""

    def __init__(self, servers: Servers, **env: str) -> None:
        self._env = {
            **os.environ,
            "DATABASE_URL": servers.database_url,
            "REDIS_URL": servers.redis_url.rsplit("/", 1)[0] + "/7",
            "TWILIO_ACCOUNT_SID": f"AC{uuid.uuid4().hex}",
            **env,
        }

    async def run(self, *words: str, stdin: str = "", status: int = 0) -> str:
        """Standard output; standard error when another `status` than 0 is expected."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "control_plane.cli", *words),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._env,
        )
        output, errors = await process.communicate(stdin.encode())
        assert process.returncode == status, errors.decode()
        return (output if status == 0 else errors).decode()


@pytest.fixture
def shell(servers: Servers) -> Shell:
    return Shell(servers)


async def test_all_dialing_is_stopped_and_allowed_again(shell: Shell) -> None:
    await shell.run("dialing", "stop", "a key was stolen")
    state = json.loads(await shell.run("dialing", "status", "--json"))
    assert state["stop"]["reason"] == "a key was stolen"
    assert state["stop"]["by"].startswith("cli")
    assert state["caps"]["concurrent"] == 1000
    assert await shell.run("dialing", "resume") == "dialing is allowed\n"
    assert await shell.run("dialing", "resume") == "dialing was not stopped\n"
    assert "dialing  allowed" in await shell.run("dialing", "status")
    entries = json.loads(await shell.run("dialing", "audit", "--json", "--limit", "500"))
    assert [each["action"] for each in entries if each["detail"] == "a key was stolen"][:1] == ["stop"]


async def test_numbers_are_listed_and_taken_off(shell: Shell, tmp_path: Path) -> None:
    one, two, three = sorted(f"+1415{uuid.uuid4().int % 9_000_000 + 1_000_000}" for _ in range(3))
    assert await shell.run("dnc", "add", one, "--reason", "asked") == f"{one} is on the list\n"
    assert await shell.run("dnc", "add", one) == f"{one} was on the list already\n"
    file = tmp_path / "numbers.csv"
    file.write_text(f"# from the old system\n{one},Ann\n{two},Bob\n\n")
    assert await shell.run("dnc", "import", str(file)) == "2 numbers read, 1 of them new on the list\n"
    assert await shell.run("dnc", "import", "-", stdin=f"{three}\n") == (
        "1 numbers read, 1 of them new on the list\n"
    )
    listed = [json.loads(line) for line in (await shell.run("dnc", "list", "--json")).splitlines()]
    assert [each["number"] for each in listed if each["number"] in (one, two, three)] == [one, two, three]
    assert one in await shell.run("dnc", "list")
    await shell.run("dnc", "remove", one)
    assert "is not on the list" in await shell.run("dnc", "remove", one, status=1)


async def test_a_file_with_a_bad_line_lists_nothing(shell: Shell, tmp_path: Path) -> None:
    good = f"+1415{uuid.uuid4().int % 9_000_000 + 1_000_000}"
    file = tmp_path / "numbers.txt"
    file.write_text(f"{good}\n911\n")
    assert "line 2: '911' must be an E.164 number" in await shell.run("dnc", "import", str(file), status=2)
    assert good not in await shell.run("dnc", "list")


async def test_servers_that_are_away_are_named(servers: Servers) -> None:
    shell = Shell(servers, REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert await shell.run("dialing", "stop", status=1) != ""
    shell = Shell(servers, DATABASE_URL=f"postgresql://postgres@127.0.0.1:{free_port()}/x")
    assert "postgres is unavailable" in await shell.run("dnc", "list", status=1)
