"""Sentences made ahead, by the simulator or a bare Gemini Live server, and kept in Valkey."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from picows import WSCloseCode
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from media_plane.call.spoken_line import key
from media_plane.dsp.codec import KernelCodecs
from media_plane.io.gemini_endpoint import GeminiEndpoint
from media_plane.io.spoken_lines import SpokenLines
from media_plane.settings import Settings
from tests.support.eventually import eventually
from tests.support.gemini_sim import Running, running
from tests.support.media_peers import NOWHERE, FakeGemini, Model, fake_gemini, tone
from tests.support.stack import Servers

HOLD = "One moment, please."
MODEL = "gemini-3.8-live"
CODECS = KernelCodecs()


@asynccontextmanager
async def spoken(url: str, redis_url: str = NOWHERE, **settings: Any) -> AsyncIterator[SpokenLines]:
    fields: dict[str, Any] = {"gemini_base_url": url, "gemini_api_key": "k", "stall_goodbye_line": "Goodbye."}
    chosen = Settings(_env_file=None, **fields | settings)
    redis = Redis.from_url(redis_url, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0))
    lines = SpokenLines.of(chosen, GeminiEndpoint.of(chosen, None), redis, CODECS)
    try:
        yield lines
    finally:
        await lines.close()
        await redis.aclose()


def address(sim: Running) -> str:
    return f"http{sim.url[2:]}"


async def asked(gemini: FakeGemini, sessions: int = 1) -> Model:
    """The newest of so many sessions, once it has been asked to speak."""
    await eventually(lambda: len(gemini.sessions) == sessions)
    model = gemini.sessions[-1]
    await model.until(lambda: any("clientContent" in message for message in model.messages))
    return model


async def test_a_line_is_made_once_for_all_calls_that_want_it_at_once() -> None:
    async with running() as sim, spoken(address(sim)) as lines:
        calls = [lines.of_call(MODEL, "Puck") for _ in range(20)]
        for call in calls:
            call.want(goodbye=False)
        assert calls[0].hold() is None
        line = await eventually(calls[0].hold)
        assert line.text == HOLD
        assert abs(len(line.ulaw) - 8 * 990) < 80
        assert all(call.hold() == line for call in calls)
        assert calls[0].goodbye() is None
        calls[0].want(goodbye=False)
        assert lines.counts == {"made": 1}
        assert len(sim.simulator.connections) == 1
        await eventually(lambda: not sim.simulator.live)


async def test_each_voice_and_each_sentence_is_a_line_of_its_own() -> None:
    async with running() as sim, spoken(address(sim)) as lines:
        call = lines.of_call(MODEL, "Kore")
        call.want(goodbye=True)
        goodbye = await eventually(call.goodbye)
        await eventually(call.hold)
        assert goodbye.text == "Goodbye."
        assert lines.of_call(MODEL, "Puck").hold() is None
        setups = [each.session.setup_body or {} for each in sim.simulator.connections.values()]
        voices = [each["generationConfig"]["speechConfig"]["voiceConfig"] for each in setups]
        assert voices == [{"prebuiltVoiceConfig": {"voiceName": "Kore"}}] * 2


async def test_another_node_takes_the_line_from_redis(servers: Servers) -> None:
    async with running() as sim:
        url = address(sim)
        async with spoken(url, servers.redis_url) as first:
            call = first.of_call(MODEL, "Puck")
            call.want(goodbye=False)
            made = await eventually(call.hold)
            await eventually(lambda: not first._making)
        async with spoken(url, servers.redis_url) as second:
            call = second.of_call(MODEL, "Puck")
            call.want(goodbye=False)
            assert await eventually(call.hold) == made
            assert second.counts == {"reused": 1}
        assert len(sim.simulator.connections) == 1
        async with Redis.from_url(servers.redis_url) as redis:
            left_s = await redis.ttl(key(url, f"models/{MODEL}", "Puck", HOLD))
            assert 6 * 86400 < left_s <= 7 * 86400


@pytest.mark.parametrize(
    ("heard", "ms"), [("Certainly! One moment, please.", 500), ("", 500), (HOLD, 100)], ids=str
)
async def test_what_is_not_the_sentence_is_refused_and_not_asked_for_again_at_once(
    heard: str, ms: int
) -> None:
    async with fake_gemini() as gemini, spoken(gemini.url) as lines:
        call = lines.of_call(MODEL, "Puck")
        call.want(goodbye=False)
        model = await asked(gemini)
        model.speak(tone(440, ms, 24_000), outputTranscription={"text": heard})
        model.content(turnComplete=True)
        await eventually(lambda: lines.counts)
        assert lines.counts == {"refused": 1}
        await eventually(lambda: not lines._making)
        call.want(goodbye=False)
        assert call.hold() is None
        assert not lines._making
        await model.closed()


async def test_a_transcription_may_come_after_the_sentence() -> None:
    async with fake_gemini() as gemini, spoken(gemini.url) as lines:
        call = lines.of_call(MODEL, "Puck")
        call.want(goodbye=False)
        model = await asked(gemini)
        model.speak(tone(440, 500, 24_000))
        model.content(turnComplete=True)
        model.content(outputTranscription={"text": "One moment"})
        model.content(outputTranscription={"text": " please"})
        assert len((await eventually(call.hold)).ulaw) == pytest.approx(8 * 500, abs=80)


async def test_a_session_that_breaks_or_never_ends_is_a_failure() -> None:
    async with fake_gemini() as gemini, spoken(gemini.url) as lines:
        lines.of_call(MODEL, "Puck").want(goodbye=False)
        (await asked(gemini)).close(WSCloseCode.INTERNAL_ERROR, "Internal error encountered.")
        await eventually(lambda: lines.counts["failed"] == 1)
        lines.of_call(MODEL, "Kore").want(goodbye=False)
        model = await asked(gemini, sessions=2)
        for _ in range(31):
            model.speak(tone(440, 500, 24_000))
        await eventually(lambda: lines.counts["failed"] == 2)
        await model.closed()
        gemini.refuse = 429
        lines.of_call(MODEL, "Zephyr").want(goodbye=False)
        await eventually(lambda: lines.counts["failed"] == 3)


@pytest.mark.parametrize(
    "settings", [{"gemini_api_key": "auth_tokens/one"}, {"stall_hold_line": "", "stall_goodbye_line": " "}]
)
async def test_without_a_sentence_or_with_a_token_for_one_session_nothing_is_made(
    settings: dict[str, str],
) -> None:
    async with fake_gemini() as gemini, spoken(gemini.url, **settings) as lines:
        call = lines.of_call(MODEL, "Puck")
        call.want(goodbye=True)
        assert not lines._making
        assert call.hold() is None
        assert call.goodbye() is None


async def test_closing_gives_up_what_is_being_made() -> None:
    async with fake_gemini() as gemini:
        async with spoken(gemini.url) as lines:
            lines.of_call(MODEL, "Puck").want(goodbye=True)
            model = await asked(gemini, sessions=2)
        assert not lines._making
        await model.closed()
