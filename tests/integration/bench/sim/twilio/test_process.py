"""The simulator as the stack starts it: ready by file descriptor, gone by signal."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from bench.sim.twilio.__main__ import parse_arguments

ROOT = Path(__file__).parents[5]


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, object]]]:
    read, write = os.pipe()
    child = await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            "-m",
            "bench.sim.twilio",
            "--port",
            "0",
            "--admin-port",
            "0",
            "--no-speech",
            *arguments,
        ),
        cwd=ROOT,
        env=os.environ | {"VOICEPLANE_READY_FD": str(write)},
        pass_fds=(write,),
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(write)
    try:
        with os.fdopen(read) as pipe:
            line = await asyncio.to_thread(pipe.read)
        yield child, json.loads(line) if line else {}
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


async def test_it_says_where_it_serves_and_ends_in_order_on_sigterm() -> None:
    async with process("--cps", "0") as (child, ready):
        assert ready["ready"] is True
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{ready['twilio_admin']}/health")).json()["ok"] is True
            unauthorised = await http.get(f"{ready['twilio']}/2010-04-01/Accounts/AC0/Calls.json")
            assert unauthorised.json()["code"] == 20003
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 10) == 0


async def test_a_live_call_is_hung_up_and_told_of_when_it_ends(tmp_path: Path) -> None:
    arguments = ("--cps", "0", "--recordings", str(tmp_path), "--account-sid", "AC1", "--auth-token", "t")
    persona = tmp_path / "persona.json"
    persona.write_text('{"answer_after_ms": 0}')
    async with process(*arguments, "--persona", str(persona)) as (child, ready):
        async with httpx.AsyncClient(auth=("AC1", "t")) as http:
            form = {
                "To": "+15551230001",
                "From": "+15005550006",
                "Twiml": '<Response><Pause length="60"/></Response>',
            }
            url = f"{ready['twilio']}/2010-04-01/Accounts/AC1/Calls.json"
            sid = (await http.post(url, data=form)).json()["sid"]
            call = f"{ready['twilio_admin']}/calls/{sid}"
            async with asyncio.timeout(10):
                while (await http.get(call)).json()["status"] != "in-progress":
                    pass  # each request is a turn of the simulator's loop
        child.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(child.wait(), 10) == 0
        assert (tmp_path / f"{sid}.wav").exists()


async def test_a_taken_port_ends_it_with_a_reason() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with process("--port", str(taken.getsockname()[1])) as (child, ready):
            assert ready == {}
            assert await child.wait() == 1
            assert child.stderr is not None
            assert b"address already in use" in await child.stderr.read()


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--persona", "{}"], "outcome"),
        (["--persona", "/nowhere.json"], "No such file"),
        (["--number", "12"], "--number"),
        (["--voice-url", "nowhere"], "--voice-url"),
        (["--cps", "-1"], "--cps"),
    ],
)
def test_a_wrong_argument_is_named(
    arguments: list[str], names: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    persona = tmp_path / "persona.json"
    persona.write_text('{"outcome": "maybe"}')
    with pytest.raises(SystemExit) as caught:
        parse_arguments([argument.replace("{}", str(persona)) for argument in arguments])
    assert caught.value.code == 2
    assert names in capsys.readouterr().err
