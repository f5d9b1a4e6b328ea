"""`python -m bench.sim.gemini` as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.support.gemini_sim import PATH, SETUP


async def launch(*arguments: str) -> tuple[asyncio.subprocess.Process, dict[str, str]]:
    """Start it; returns the process and what it said when ready."""
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.sim.gemini", "--port", "0", "--admin-port", "0"),
        *arguments,
        env={**os.environ, "VOICEPLANE_READY_FD": str(writing)},
        pass_fds=[writing],
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writing)
    with os.fdopen(reading) as file:
        said = await asyncio.to_thread(file.read)
    return process, json.loads(said) if said else {}


async def test_it_says_when_it_serves_and_ends_with_0_on_sigterm(tmp_path: Path) -> None:
    process, ready = await launch("--mode", "scripted", "--log", str(tmp_path / "log"))
    assert ready["ready"] is True
    url = ready["gemini"].replace("http", "ws") + PATH
    async with connect(f"{url}?key=k", compression=None, proxy=None) as socket:
        await socket.send(json.dumps(SETUP))
        assert json.loads(await socket.recv()) == {"setupComplete": {}}
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
    assert process.returncode == 0
    assert socket.close_code == 1001
    log = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["kind"] for line in log if line["dir"] != "="] == ["setup", "setupComplete"]
    assert b"Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--scenario", "/no/such.yaml"], b"/no/such.yaml: No such file"),
        (["--tls-cert", "a.pem"], b"--tls-cert and --tls-key go together"),
    ],
)
async def test_what_it_cannot_start_with_it_says_in_a_line(arguments: list[str], words: bytes) -> None:
    process, ready = await launch("--mode", "scripted", *arguments)
    _, errors = await process.communicate()
    assert ready == {}
    assert process.returncode != 0
    assert words in errors
    assert b"Traceback" not in errors


def test_the_simulator_itself_never_loads_the_models_libraries() -> None:
    code = (
        "import sys, bench.sim.gemini.__main__\n"
        "print({'piper', 'faster_whisper', 'onnxruntime', 'ctranslate2'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
