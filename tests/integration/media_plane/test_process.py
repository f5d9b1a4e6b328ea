"""`python -m media_plane` as a process: readiness, an orderly end, bad settings, a cache it may not write."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.support.media_peers import fake_gemini
from tests.support.media_process import environment, live_call, node
from tests.support.processes import family
from tests.support.stack import Servers


async def test_it_says_what_it_bound_and_ends_in_order_on_sigterm(tmp_path: Path, servers: Servers) -> None:
    async with (
        fake_gemini() as gemini,
        node(tmp_path, REDIS_URL=servers.redis_url, GEMINI_BASE_URL=gemini.url, MEDIA_DRAIN_S="0") as (
            process,
            said,
        ),
    ):
        assert said["ready"] is True
        assert "workers" not in said
        assert family(process.pid) == {process.pid}
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
        env=environment(MEDIA_CAPACITY="none", GEMINI_BASE_URL="ftp://x"),
        cwd=tmp_path,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert b"MEDIA_CAPACITY: " in said
    assert b"GEMINI_BASE_URL: " in said


@pytest.mark.parametrize("name", ["WS", "GRPC", "METRICS"])
async def test_a_port_that_another_has_ends_it_at_the_start(tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=name == "GRPC") as taken:
        port = str(taken.getsockname()[1])
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "media_plane"),
            env=environment(**{f"MEDIA_{name}_PORT": port}),
            cwd=tmp_path,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1
    assert said.decode().splitlines()[-1].startswith(f"MEDIA_{name}_PORT: port {port} can't be had: ")


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
        "print(codecs.uplink(b'').encode(payload, 0, len(payload), 0) & OFFSET > 0)\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        cwd=Path(__file__).parents[3],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, said = await asyncio.wait_for(process.communicate(), 90)
    assert out == b"True\n", said.decode()
