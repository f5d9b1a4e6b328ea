"""`voiceplane doctor` against a stack that runs, and against what is wrong."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from control_plane.cli.app import app
from control_plane.devstack.stack import Stack
from control_plane.doctor.account import clock
from control_plane.doctor.finding import Level


async def doctor(stack: Stack, folder: Path, **changes: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Its exit status and findings by check; `changes` to the stack's settings."""
    words = ["doctor", "--json", "--data-dir", str(folder)]
    env = {**stack.env, **changes}
    done = await asyncio.to_thread(CliRunner().invoke, app, words, env=env)
    assert done.stdout, done.output
    found = json.loads(done.stdout)
    assert found["ok"] == (done.exit_code == 0)
    return done.exit_code, {each["check"]: each for each in found["checks"]}


async def test_a_stack_that_runs_is_well(stack: Stack, tmp_path: Path) -> None:
    status, found = await doctor(stack, tmp_path)

    assert {name: each["level"] for name, each in found.items() if each["level"] != "ok"} == {}
    assert status == 0
    assert {"settings", "model", "twilio", "number", "clock", "webhooks"} < found.keys()
    assert {"redis", "postgres", "temporal", "port api", "port grpc", "port media ws"} < found.keys()
    assert found["port api"]["found"].endswith(": voiceplane answers")
    words = ["doctor", "--data-dir", str(tmp_path)]
    shown = await asyncio.to_thread(CliRunner().invoke, app, words, env={**stack.env, "COLUMNS": "200"})
    assert shown.exit_code == 0
    assert all(line.startswith("OK ") for line in shown.stdout.splitlines())


@pytest.mark.parametrize(
    ("changes", "check", "level"),
    [
        ({"TWILIO_AUTH_TOKEN": "wrong"}, "twilio", "fail"),
        ({"TWILIO_ACCOUNT_SID": ""}, "settings", "fail"),
        ({"TWILIO_PHONE_NUMBER": "+15005550001"}, "number", "warn"),
        ({"TWILIO_API_BASE_URL": "http://127.0.0.1:1"}, "twilio", "fail"),
        ({"BASE_URL": "http://127.0.0.1:1"}, "webhooks", "fail"),
        ({"REDIS_URL": "redis://127.0.0.1:1/0"}, "redis", "fail"),
        ({"DATABASE_URL": "postgresql://postgres@127.0.0.1:1/x"}, "postgres", "fail"),
        ({"TEMPORAL_HOST": "127.0.0.1:1"}, "temporal", "fail"),
        ({"GEMINI_API_KEY": "", "GEMINI_VERTEX_PROJECT": ""}, "model", "fail"),
    ],
)
async def test_what_is_wrong_is_named_with_what_to_do(
    stack: Stack, tmp_path: Path, changes: dict[str, str], check: str, level: str
) -> None:
    status, found = await doctor(stack, tmp_path, **changes)
    assert found[check]["level"] == level
    assert found[check]["advice"].endswith(".")
    assert status == (1 if level == "fail" else 0)


async def test_a_port_that_another_program_has(stack: Stack, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        other.close()
        _, free = await doctor(stack, tmp_path, WORKER_METRICS_PORT=str(port))
    assert free["port worker metrics"]["found"] == f"{port} is free"

    redis = stack.env["REDIS_URL"].rpartition(":")[2].partition("/")[0]
    status, taken = await doctor(stack, tmp_path, MEDIA_WS_PORT=redis)
    assert (status, taken["port media ws"]["level"]) == (1, "fail")
    assert taken["port media ws"]["found"] == f"{redis} is another program's"


async def test_a_setting_that_is_no_good_is_a_sentence(stack: Stack, tmp_path: Path) -> None:
    words = ["doctor", "--data-dir", str(tmp_path)]
    env = {**stack.env, "API_PORT": "many"}
    done = await asyncio.to_thread(CliRunner().invoke, app, words, env=env)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: API_PORT: ")


@pytest.mark.parametrize(
    ("off_s", "level"),
    [(0, Level.OK), (1.5, Level.OK), (-5, Level.WARN), (40, Level.FAIL), (-40, Level.FAIL)],
)
def test_a_clock_is_judged_by_how_far_it_is_off(off_s: float, level: Level) -> None:
    now = time.time()
    assert clock(formatdate(now, usegmt=True), now + off_s).level is level


def test_a_date_that_is_none_is_said() -> None:
    assert clock("yesterday", 0.0).level is Level.WARN
