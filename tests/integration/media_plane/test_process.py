"""`python -m media_plane` as a process: readiness, an orderly end, bad settings, a cache it may not write."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from picows import ws_connect

from protos.voiceplane.media.v1 import media_pb2 as pb
from protos.voiceplane.media.v1 import media_pb2_grpc
from tests.support.media_peers import NOWHERE, TOKEN, Caller, fake_gemini
from tests.support.stack import Servers

ENVIRONMENT = {
    "REDIS_URL": NOWHERE,
    "GEMINI_API_KEY": "k",
    "MEDIA_WS_PORT": "0",
    "MEDIA_GRPC_PORT": "0",
    "MEDIA_METRICS_PORT": "0",
}


@asynccontextmanager
async def node(
    cwd: Path, command: list[str] | None = None, **environment: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    """A node that has said it is ready, and what it said."""
    ours, theirs = os.pipe()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEDIA_", "GEMINI_"))}
    process = await asyncio.create_subprocess_exec(
        *(command or [sys.executable, "-m", "media_plane"]),
        env=kept | ENVIRONMENT | {"VOICEPLANE_READY_FD": str(theirs)} | environment,
        cwd=cwd,
        pass_fds=[theirs],
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(theirs)
    try:
        with os.fdopen(ours) as pipe:
            line = await asyncio.wait_for(asyncio.to_thread(pipe.readline), 90)
        yield process, json.loads(line)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def live_call(said: dict[str, Any]) -> AsyncIterator[Caller]:
    async with grpc.aio.insecure_channel(said["media_grpc"]) as channel:
        stub: Any = media_pb2_grpc.MediaPlaneStub(channel)
        agent = pb.AgentConfig(system_prompt="You answer.")
        prepared = await stub.PrepareCall(
            pb.PrepareCallRequest(workflow_id="call-1", stream_token=TOKEN, agent=agent)
        )
        _, caller = await ws_connect(Caller, prepared.stream_url)
        assert isinstance(caller, Caller)
        caller.start()
        call = pb.GetCallResponse()
        while call.state != pb.CALL_STATE_LIVE:
            call = await stub.GetCall(pb.GetCallRequest(workflow_id="call-1"))
        yield caller


async def test_it_says_what_it_bound_and_ends_in_order_on_sigterm(tmp_path: Path, servers: Servers) -> None:
    async with (
        fake_gemini() as gemini,
        node(tmp_path, REDIS_URL=servers.redis_url, GEMINI_BASE_URL=gemini.url, MEDIA_DRAIN_S="0") as (
            process,
            said,
        ),
    ):
        assert said["ready"] is True
        async with live_call(said) as caller:
            process.send_signal(signal.SIGTERM)
            assert await caller.closed() == 1001
            assert await gemini.sessions[0].closed() == 1000
        assert await asyncio.wait_for(process.wait(), 20) == 0


async def test_sigterm_lets_a_live_call_finish(tmp_path: Path, servers: Servers) -> None:
    async with (
        fake_gemini() as gemini,
        node(tmp_path, REDIS_URL=servers.redis_url, GEMINI_BASE_URL=gemini.url, MEDIA_DRAIN_S="60") as (
            process,
            said,
        ),
    ):
        async with live_call(said) as caller:
            process.send_signal(signal.SIGTERM)
            caller.media(b"\xff" * 160)
            await gemini.sessions[0].until(lambda: len(gemini.sessions[0].heard) == 320)
            caller.event("stop", accountSid="AC", callSid=caller.call_sid)
            assert await caller.closed() == 1000
        assert await asyncio.wait_for(process.wait(), 20) == 0


async def test_a_second_signal_ends_it_at_once(tmp_path: Path, servers: Servers) -> None:
    async with (
        fake_gemini() as gemini,
        node(tmp_path, REDIS_URL=servers.redis_url, GEMINI_BASE_URL=gemini.url, MEDIA_DRAIN_S="60") as (
            process,
            said,
        ),
        live_call(said),
    ):
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        async for line in process.stderr:
            if b"waiting for calls to finish" in line:
                break
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 10) == 128 + signal.SIGTERM


async def test_a_bad_setting_ends_it_at_the_start_with_the_variable_s_name(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "media_plane"),
        env=os.environ | ENVIRONMENT | {"MEDIA_CAPACITY": "none", "GEMINI_BASE_URL": "ftp://x"},
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert b"MEDIA_CAPACITY: " in said
    assert b"GEMINI_BASE_URL: " in said


async def test_kernels_compile_where_no_cache_can_be_written(tmp_path: Path) -> None:
    """Numba refuses to cache when it finds no folder it may write; the kernels must work all the same."""
    program = (
        "from numba.core import caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "from base64 import b64encode\n"
        "from media_plane.dsp.codec import OFFSET, KernelCodecs\n"
        "from media_plane.dsp.warmup import warm_up\n"
        "codecs = KernelCodecs()\n"
        "warm_up(codecs)\n"
        "payload = b64encode(bytes(160))\n"
        "print(codecs.uplink(b'').encode(payload, 0, len(payload)) & OFFSET > 0)\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        cwd=Path(__file__).parents[3],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await asyncio.wait_for(process.communicate(), 90)
    assert out == b"True\n", said.decode()
