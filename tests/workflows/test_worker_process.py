"""`python -m workflows` as the stack runs it: a process that says when it serves and goes when it is told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp

from tests.support.stack import Servers
from tests.support.twilio_api import ACCOUNT_SID


@asynccontextmanager
async def worker_process(**env: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """The process and the descriptor on which it says that it serves."""
    read_end, write_end = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "workflows"),
            env={**os.environ, "VOICEPLANE_READY_FD": str(write_end), **env},
            pass_fds=[write_end],
            stderr=asyncio.subprocess.PIPE,
        )
    finally:
        os.close(write_end)
    try:
        yield process, read_end
    finally:
        os.close(read_end)
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def test_the_worker_says_when_it_serves_and_ends_in_order_on_sigterm(
    servers: Servers, free_port: int
) -> None:
    env = {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url,
        "TEMPORAL_HOST": servers.temporal_host,
        "TWILIO_ACCOUNT_SID": ACCOUNT_SID,
        "WORKER_METRICS_PORT": str(free_port),
    }
    async with worker_process(**env) as (process, ready):
        said = json.loads(await asyncio.to_thread(os.read, ready, 4096))
        assert said["ready"] is True
        async with aiohttp.ClientSession() as http, http.get(said["metrics"]) as answer:
            assert "voiceplane_worker_calls_finished_total" in await answer.text()
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            assert await process.wait() == 0


async def test_the_worker_waits_for_temporal_and_can_be_told_to_stop_waiting(free_port: int) -> None:
    env = {"TEMPORAL_HOST": "127.0.0.1:1", "WORKER_METRICS_PORT": str(free_port)}
    async with worker_process(**env) as (process, _):
        assert process.stderr is not None
        async with asyncio.timeout(30):
            while b"waiting for Temporal" not in await process.stderr.readline():
                continue
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            assert await process.wait() == 0


async def test_a_setting_that_makes_no_sense_is_named() -> None:
    async with worker_process(WORKER_METRICS_PORT="many") as (process, _):
        _, errors = await process.communicate()
        assert process.returncode == 2
        assert errors.startswith(b"WORKER_METRICS_PORT: ")
