"""`voiceplane up` from outside: data, ports, signals, and what is left when it ends in each way it can."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis.asyncio as redis
from typer.testing import CliRunner

from control_plane.cli.app import app
from tests.support.launched import launched
from tests.support.processes import mentioning, until, until_gone
from tests.support.stack import temporary_folder


@pytest.fixture
def data_dir() -> Iterator[Path]:
    folder = temporary_folder()
    yield folder / "data"
    shutil.rmtree(folder)


async def keep_something(url: str) -> None:
    async with redis.from_url(url) as client:
        await client.set("kept", "yes")


async def what_was_kept(url: str) -> object:
    async with redis.from_url(url) as client:
        return await client.get("kept")


async def test_data_survives_a_restart_and_fresh_wipes_it(data_dir: Path) -> None:
    async with launched(data_dir, "postgres", "valkey") as up:
        await up.ready()
        env = up.state()["env"]
        await keep_something(env["REDIS_URL"])
        postgres = env["DATABASE_URL"].replace("/voiceplane", "/postgres")
        async with await psycopg.AsyncConnection.connect(postgres) as connection:
            await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        up.process.send_signal(signal.SIGTERM)
        assert await up.ended() == 0

    async with launched(data_dir, "postgres", "valkey") as up:
        await up.ready()
        env = up.state()["env"]
        assert await what_was_kept(env["REDIS_URL"]) == b"yes"
        postgres = env["DATABASE_URL"].replace("/voiceplane", "/postgres")
        async with await psycopg.AsyncConnection.connect(postgres) as connection:
            row = await (await connection.execute("SELECT answer FROM kept")).fetchone()
        assert row == (42,)
        up.process.send_signal(signal.SIGTERM)
        assert await up.ended() == 0

    async with launched(data_dir, "valkey", options=["--fresh"]) as up:
        await up.ready()
        assert await what_was_kept(up.state()["env"]["REDIS_URL"]) is None
        assert not (data_dir / "postgres").exists()


@pytest.mark.parametrize("options", [[], ["--fresh"]], ids=["plain", "fresh"])
async def test_a_folder_of_somebody_else_is_left_alone(data_dir: Path, options: list[str]) -> None:
    data_dir.mkdir()
    (data_dir / "logs").mkdir()
    (data_dir / "logs" / "letters.txt").write_text("dear")
    async with launched(data_dir, "valkey", options=options) as up:
        assert await up.ended() == 1
    assert "was not made by voiceplane" in up.output[-1]
    assert [path.name for path in data_dir.rglob("*")] == ["logs", "letters.txt"]


async def test_a_second_one_in_the_folder_is_refused_and_told_the_pid(data_dir: Path) -> None:
    async with launched(data_dir, "valkey") as first:
        await first.ready()
        async with launched(data_dir, "valkey", options=["--fresh"]) as second:
            assert await second.ended() == 1
        assert f"(pid {first.process.pid})" in second.output[-1]
        assert await what_was_kept(first.state()["env"]["REDIS_URL"]) is None  # it still serves


async def test_a_taken_port_moves_and_is_said(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("API_PORT", str(port))
        # Usual ports otherwise, though nothing that would listen on them is started.
        async with launched(data_dir, "valkey", options=["--usual-ports"]) as up:
            await up.ready()
            state = up.state()
    moved = int(state["env"]["API_PORT"])
    assert moved != port
    assert f"note: port {port} is taken: rest is on {moved}" in up.output
    assert state["endpoints"]["rest"] == f"http://127.0.0.1:{moved}"
    assert state["env"]["BASE_URL"] == f"http://127.0.0.1:{moved}"


@pytest.mark.parametrize(
    ("signum", "servers"),
    [
        (signal.SIGINT, ["postgres", "valkey", "temporal"]),
        (signal.SIGTERM, ["valkey"]),
        (signal.SIGHUP, ["valkey"]),
    ],
)
async def test_a_signal_ends_everything_with_status_0(
    data_dir: Path, signum: signal.Signals, servers: list[str]
) -> None:
    async with launched(data_dir, *servers) as up:
        await up.ready()
        pids = up.pids()
        up.process.send_signal(signum)
        assert await up.ended() == 0
    await until_gone(pids, timeout_s=0.5)
    assert mentioning(data_dir) == []
    assert not (data_dir / "stack.json").exists()


async def test_status_shows_it_and_down_ends_it(data_dir: Path) -> None:
    async with launched(data_dir, "valkey") as up:
        await up.ready()
        shown = CliRunner().invoke(app, ["status", "--json", "--data-dir", str(data_dir)])
        assert shown.exit_code == 0
        assert json.loads(shown.output)["processes"]["valkey"]["alive"] is True
        assert "valkey" in CliRunner().invoke(app, ["status", "--data-dir", str(data_dir)]).output
        words = ["down", "--data-dir", str(data_dir)]
        ended = await asyncio.to_thread(CliRunner().invoke, app, words)
        assert ended.exit_code == 0
        assert await up.ended() == 0
    assert mentioning(data_dir) == []


async def test_a_signal_that_comes_twice_at_once_is_one(data_dir: Path) -> None:
    async with launched(data_dir, "postgres", "valkey") as up:
        await up.ready()
        up.process.send_signal(signal.SIGINT)
        up.process.send_signal(signal.SIGTERM)
        assert await up.ended() == 0
    assert {"postgres    stopped", "valkey      stopped"} <= set(up.output)


async def test_a_childs_death_ends_everything_and_is_explained(data_dir: Path) -> None:
    async with launched(data_dir, "postgres", "valkey") as up:
        await up.ready()
        pids = up.pids()
        os.kill(up.state()["processes"]["valkey"]["pid"], signal.SIGKILL)
        assert await up.ended() == 1
    await until_gone(pids, timeout_s=0.5)
    assert mentioning(data_dir) == []
    log = data_dir / "logs" / "valkey.log"
    assert up.output[-1] == f"error: valkey was ended by signal 9; its log: {log}"
    assert any(line.startswith("  valkey | ") and "Ready to accept" in line for line in up.output)


async def test_nothing_is_left_when_the_launcher_is_killed(data_dir: Path) -> None:
    async with launched(data_dir, "postgres", "valkey", "temporal") as up:
        await up.ready()
        pids = up.pids()
        assert len(pids) >= 4
        up.process.kill()
        await until_gone(pids)
    assert mentioning(data_dir) == []


@pytest.mark.parametrize("after_s", [0.01, 0.05, 0.2])
async def test_nothing_is_left_when_it_is_killed_while_starting(data_dir: Path, after_s: float) -> None:
    async with launched(data_dir, "postgres", "valkey") as up:
        await until((data_dir / "logs" / "reaper.log").exists, "it has not begun")
        await asyncio.sleep(after_s)  # not for anything: to kill it in the middle of whatever it does then
        up.process.kill()
        await up.process.wait()
        await until(lambda: mentioning(data_dir) == [], f"still running: {mentioning(data_dir)}")


async def test_one_that_was_killed_can_start_again_at_once(data_dir: Path) -> None:
    async with launched(data_dir, "postgres") as up:
        await up.ready()
        up.process.kill()
        await up.process.wait()
    async with launched(data_dir, "postgres") as up:
        await until(lambda: any("ready; Ctrl-C" in line for line in up.output), f"{up.output}")
        up.process.send_signal(signal.SIGTERM)
        assert await up.ended() == 0
