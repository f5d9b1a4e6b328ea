"""The simulator over real sockets: upgrades, opcodes, pings, closes."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bench.sim.gemini import tls
from bench.sim.gemini.faults import Fault
from tests.support.gemini_sim import PATH, SETUP, audio_frame, audio_of, running, silence, steady, tone

RAW: dict[str, Any] = {"compression": None, "ping_interval": None, "max_size": None, "proxy": None}
SERVICE = "ws/google.ai.generativelanguage.{}.GenerativeService.BidiGenerateContent{}"
PATHS = [
    *(f"{slashes}{SERVICE.format(version, '')}" for slashes in ["/", "//"] for version in ("v1", "v1beta")),
    "/" + SERVICE.format("v1alpha", "Constrained"),
    "//ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent",
]


@pytest.mark.parametrize("path", PATHS)
async def test_every_path_of_the_service_is_served(path: str) -> None:
    async with running() as sim, connect(f"{sim.url}{path}?key=k", **RAW) as socket:
        await socket.send(json.dumps(SETUP))
        assert "setupComplete" in json.loads(await socket.recv())


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?key=k", {}),
        ("?access_token=auth_tokens/t", {}),
        ("", {"x-goog-api-key": "k"}),
        ("", {"Authorization": "Token auth_tokens/t"}),
        ("", {"Authorization": "Bearer t"}),
    ],
)
async def test_the_key_may_come_in_the_query_or_in_a_header(query: str, headers: dict[str, str]) -> None:
    async with (
        running() as sim,
        connect(f"{sim.url}{PATH}{query}", additional_headers=headers, **RAW) as socket,
    ):
        await socket.send(json.dumps(SETUP))
        assert json.loads(await socket.recv()) == {"setupComplete": {}}


async def test_other_paths_are_not_found() -> None:
    async with running() as sim:
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{sim.url}/ws/else", **RAW)
        assert refused.value.response.status_code == 404


async def test_frames_are_binary_and_pretty_printed() -> None:
    async with running() as sim, connect(f"{sim.url}{PATH}?key=k", **RAW) as socket:
        await socket.send(json.dumps(SETUP))
        assert await socket.recv() == b'{\n  "setupComplete": {}\n}\n'


async def test_binary_text_and_fragmented_frames_are_read() -> None:
    async with running() as sim, connect(f"{sim.url}{PATH}?key=k", **RAW) as socket:
        text = json.dumps(SETUP)
        await socket.send([text[:10], text[10:20], text[20:]])
        assert json.loads(await socket.recv()) == {"setupComplete": {}}
        await socket.send(json.dumps({"client_content": {"turn_complete": True}}).encode())
        assert "serverContent" in json.loads(await socket.recv())


async def test_a_caller_who_speaks_is_answered_with_audio() -> None:
    async with running() as sim, sim.session() as socket:
        pcm = tone(600) + silence(900)  # in a burst: the simulator runs on audio time
        for start in range(0, len(pcm), 640):
            await socket.send(json.dumps(audio_frame(pcm[start : start + 640])))
        frames = []
        while not any("generationComplete" in frame.get("serverContent", {}) for frame in frames):
            frames.append(json.loads(await socket.recv()))
        assert len(audio_of(frames)) == 2 * 24 * 3000


async def test_an_upgrade_may_be_refused_with_429() -> None:
    async with running() as sim:
        sim.simulator.arm(Fault(fault="refuse_upgrade"))
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{sim.url}{PATH}?key=k", **RAW)
        assert refused.value.response.status_code == 429
        assert json.loads(refused.value.response.body or b"")["error"]["status"] == "RESOURCE_EXHAUSTED"
        async with sim.session():
            pass  # only the next one was refused


async def test_more_sessions_than_the_quota_are_refused_with_429() -> None:
    async with running(steady(limits={"sessions": 1})) as sim, sim.session():
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{sim.url}{PATH}?key=k", **RAW)
        assert refused.value.response.status_code == 429


async def test_a_client_may_close_with_a_code_of_its_own() -> None:
    async with running() as sim, sim.session() as socket:
        await socket.close(4001, "own reasons")
        assert sim.simulator.connections["g1"].close_code == 4001


async def test_a_refused_setup_is_a_close_with_code_and_reason() -> None:
    async with running() as sim, connect(f"{sim.url}{PATH}?key=k", **RAW) as socket:
        await socket.send(json.dumps({"setup": {"generation_config": {"x": 1}}}))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1007
        assert "Unknown name \"x\" at 'setup.generation_config'" in closed.value.rcvd.reason


async def test_an_abort_is_an_end_without_a_close_frame() -> None:
    async with running() as sim, sim.session() as socket:
        sim.simulator.arm(Fault(fault="abort", session="g1"))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is None
        assert sim.simulator.connections["g1"].close_code == 1006


async def test_a_client_s_close_is_echoed() -> None:
    async with running(steady(delays={"close_echo": 100})) as sim, sim.session() as socket:
        began = time.monotonic()
        await socket.close(1000)
        assert time.monotonic() - began >= 0.1
        assert socket.close_code == 1000
        assert sim.simulator.connections["g1"].close_code == 1000


async def test_pings_are_answered_at_once_or_late() -> None:
    async with running() as sim, sim.session() as socket:
        await asyncio.wait_for(await socket.ping(), 1)
        sim.simulator.arm(Fault(fault="delayed_pongs", session="g1", ms=200))
        began = time.monotonic()
        await (await socket.ping())
        assert time.monotonic() - began >= 0.2


async def test_while_reads_stall_nothing_the_client_writes_arrives() -> None:
    async with running() as sim, sim.session() as socket:
        sim.simulator.arm(Fault(fault="slow_reads", session="g1", ms=300))
        began_ns = time.monotonic_ns()
        await socket.send(json.dumps({"client_content": {"turn_complete": True}}))
        await socket.recv()
        lines = sim.simulator.connections["g1"].log.lines()
        (received,) = [line for line in lines if line["kind"] == "clientContent"]
        assert received["t_ns"] - began_ns >= 290_000_000


async def test_a_session_is_resumed_over_a_new_socket() -> None:
    resumable = {"setup": {"model": "models/gemini-3.8-live", "sessionResumption": {}}}
    async with running() as sim:
        async with sim.session(resumable) as socket:
            handle = json.loads(await socket.recv())["sessionResumptionUpdate"]["newHandle"]
            again = {"setup": {"model": "models/gemini-3.8-live", "sessionResumption": {"handle": handle}}}
            with pytest.raises(ConnectionClosed) as closed:
                async with sim.session(again):
                    pass
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1011
        async with sim.session(again):
            pass


async def test_one_session_s_garbage_is_nothing_to_another() -> None:
    async with running() as sim, sim.session() as good:
        async with connect(f"{sim.url}{PATH}?key=k", **RAW) as bad:
            await bad.send(b"\x00\xff")
            with pytest.raises(ConnectionClosed):
                await bad.recv()
        await good.send(json.dumps({"client_content": {"turn_complete": True}}))
        assert "serverContent" in json.loads(await good.recv())


async def test_over_tls_with_its_own_certificate(tmp_path: Path) -> None:
    import ssl

    cert, key = tls.self_signed(tmp_path / "tls")
    assert key.stat().st_mode & 0o077 == 0
    trusting = ssl.create_default_context(cafile=str(cert))
    async with running(tls=tls.server_context(cert, key)) as sim:
        url = f"wss://127.0.0.1:{sim.simulator.port}{PATH}?key=k"
        async with connect(url, ssl=trusting, **RAW) as socket:
            await socket.send(json.dumps(SETUP))
            assert json.loads(await socket.recv()) == {"setupComplete": {}}


async def test_stopping_closes_every_session_with_1001() -> None:
    async with running() as sim:
        socket = await connect(f"{sim.url}{PATH}?key=k", **RAW)
    with pytest.raises(ConnectionClosed):
        await socket.recv()
    assert socket.close_code == 1001
