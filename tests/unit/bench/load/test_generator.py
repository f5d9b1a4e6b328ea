"""The load against a real relay, and against peers that do not carry their calls."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from picows import WSListener, WSUpgradeRequest, ws_create_server

from bench.load import generator, systems
from bench.load.generator import Generator, Job, LoadFailed
from bench.load.process import cores


@pytest.fixture
async def load() -> AsyncIterator[Generator]:
    made = Generator()
    await made.start()
    yield made
    made.stop()


@pytest.fixture
async def silent_url() -> AsyncIterator[str]:
    """Where streams are taken and nothing comes back."""

    def listener(_request: WSUpgradeRequest) -> WSListener:
        return WSListener()

    server = await ws_create_server(listener, "127.0.0.1", 0)
    yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/silent"
    server.close()


async def test_a_system_that_carries_only_some_calls_is_measured_and_told_of(
    load: Generator, silent_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "FLOW_WITHIN_S", 1.0)
    monkeypatch.setattr(generator, "IN_TROUBLE_S", 0.5)
    _, core = cores()
    url = f"http://127.0.0.1:{load.port}"
    async with systems.started("relay", gemini_url=url, core=core, logs=tmp_path) as relay:
        urls = await relay.prepare(["heard"]) | {"silent": silent_url}
        result = await load.run(Job(urls, 0.1, 60.0, [relay.pid]))
    assert result.trouble == ["no audio both ways in 1 calls after 1 s"]
    assert result.seconds < 10  # and not the minute that was asked for
    assert result.up.heard > 0
    assert result.up.bursts_lost == pytest.approx(result.up.heard, abs=2)
    assert result.cpu_ns > 0


async def test_a_system_that_carries_no_call_at_all_cannot_be_measured(
    load: Generator, silent_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "FLOW_WITHIN_S", 0.3)
    with pytest.raises(LoadFailed, match="no audio both ways in 2 calls"):
        await load.run(Job({"a": silent_url, "b": silent_url}, 0.1, 0.1, [os.getpid()]))
