"""`python -m control_plane` as the dev stack starts it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import httpx
import pytest

from tests.support.control import AUTH_TOKEN, Control, control_settings, running_control
from tests.support.stack import Servers


def environment(servers: Servers, **changes: str) -> dict[str, str]:
    settings = control_settings(servers)
    return os.environ | {
        "API_PORT": str(settings.api_port),
        "GRPC_PORT": str(settings.grpc_port),
        "CONTROL_METRICS_PORT": str(settings.control_metrics_port),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "TEMPORAL_HOST": settings.temporal_host,
        "TEMPORAL_NAMESPACE": settings.temporal_namespace,
        "TWILIO_AUTH_TOKEN": AUTH_TOKEN,
        **changes,
    }


@asynccontextmanager
async def started(variables: dict[str, str]) -> AsyncIterator[tuple[Process, dict[str, object]]]:
    """The process, once it has said that it serves, and what it said."""
    reading, writing = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "control_plane"),
        env=variables | {"VOICEPLANE_READY_FD": str(writing)},
        pass_fds=[writing],
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(writing)
    try:
        with open(reading, "rb") as pipe:
            line = await asyncio.wait_for(asyncio.to_thread(pipe.readline), 60)
        assert line, (await process.communicate())[1].decode()
        yield process, json.loads(line)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_it_says_when_it_serves_and_ends_in_order_on_sigterm(servers: Servers) -> None:
    async with started(environment(servers)) as (process, said):
        assert said["ready"] is True
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"{said['rest']}/health/live")).status_code == 200
            assert "python_info" in (await http.get(str(said["metrics"]))).text
        async with grpc.aio.insecure_channel(str(said["grpc"])) as channel:
            await asyncio.wait_for(channel.channel_ready(), 10)

        process.send_signal(signal.SIGTERM)
        _, logged = await asyncio.wait_for(process.communicate(), 20)

    assert process.returncode == 0
    lines = [json.loads(line) for line in logged.splitlines()]
    assert [line["event"] for line in lines] == ["serving", "asked to stop", "stopping", "stopped"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [("API_PORT", "70000"), ("BASE_URL", "calls.example.com"), ("LOG_LEVEL", "LOUD")],
)
async def test_a_setting_that_cannot_be_used_ends_it_with_the_variables_name(
    servers: Servers, variable: str, value: str
) -> None:
    assert await _refused(environment(servers, **{variable: value})) == variable


async def test_a_taken_port_ends_it_with_the_variables_name(servers: Servers, control: Control) -> None:
    taken = str(control.settings.api_port)

    assert await _refused(environment(servers, API_PORT=taken)) == "API_PORT"


@pytest.mark.parametrize("field", ["api_port", "grpc_port", "control_metrics_port"])
async def test_a_taken_port_is_an_error_that_names_its_variable_and_lets_go_of_the_others(
    servers: Servers, control: Control, field: str
) -> None:
    settings = control_settings(servers, **{field: getattr(control.settings, field)})

    with pytest.raises(OSError, match=f"^{field.upper()} "):
        async with running_control(settings):
            pass

    free = {"api_port", "grpc_port", "control_metrics_port"} - {field}
    again = control_settings(servers, **{name: getattr(settings, name) for name in free})
    async with running_control(again) as second:
        assert (await second.http.get("/health/live")).status_code == 200


async def _refused(variables: dict[str, str]) -> str:
    """The name that the process gives before it exits with 2."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "control_plane"), env=variables, stderr=asyncio.subprocess.PIPE
    )
    _, logged = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2, logged.decode()
    assert b"Traceback" not in logged
    return logged.decode().splitlines()[-1].replace(":", " ").split()[0]
