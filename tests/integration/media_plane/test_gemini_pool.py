"""The pool against a bare Gemini Live server: what is warm, who gets it, what ends it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest
from picows import WSCloseCode

from media_plane.call.pool_policy import PoolLimits, PoolPolicy
from media_plane.errors import ModelFailure
from media_plane.io.gemini_endpoint import GeminiEndpoint
from media_plane.io.gemini_pool import GeminiPool
from media_plane.io.gemini_ws import connect
from media_plane.io.model_leg import ModelLeg
from media_plane.leg import Leg
from media_plane.settings import Settings
from tests.support.eventually import eventually
from tests.support.media_peers import FakeGemini, Model, fake_gemini

S = 1_000_000_000
SETUP = b'{"setup":{"model":"models/gemini-3.8-live"}}'
OTHER = b'{"setup":{"model":"models/gemini-3.8-live","labels":{}}}'


class User:
    """Stands where the session does."""

    def __init__(self) -> None:
        self.leg: Leg | None = None
        self.frames: list[bytes] = []
        self.waited = (-1, -1)
        self.failure: ModelFailure | None = None

    def model_ready(self, leg: Leg, connect_ms: int, setup_ms: int, now_ns: int) -> None:
        assert self.leg is None
        self.leg, self.waited = leg, (connect_ms, setup_ms)

    def model_frame(self, data: bytes, now_ns: int) -> None:
        self.frames.append(data)

    def model_closed(self, failure: ModelFailure, now_ns: int) -> None:
        self.failure = failure


class Pooled:
    """A pool whose clock can be put forward, and the service it dials."""

    def __init__(self, server: FakeGemini, limits: dict[str, int]) -> None:
        fields: dict[str, Any] = {
            "total": 16,
            "sockets_min": 1,
            "sessions_min": 0,
            "sessions_max": 4,
            "opening": 4,
            "socket_age_ns": 30 * S,
            "session_age_ns": 120 * S,
            "window_ns": 60 * S,
        }
        self.server = server
        self.now_ns = S
        policy = PoolPolicy(PoolLimits(**fields | limits), lambda: 0.0)
        endpoint = GeminiEndpoint(server.url, "v1beta", "a-key", 5.0)
        self.pool = GeminiPool(endpoint, policy, clock=self.clock)

    def clock(self) -> int:
        self.now_ns += 1000
        return self.now_ns

    async def warm(self, sockets: int, sessions: int = 0) -> None:
        """Wait until so many are warm."""
        await eventually(lambda: self.pool.held() == {"socket": sockets, "session": sessions})

    async def warm_session(self) -> Model:
        """The far end of the only warm session."""
        await eventually(lambda: self.pool.held()["session"] == 1)
        return [session for session in self.server.sessions if session.messages][-1]

    def taken(self) -> dict[str, int]:
        return {level: taken.count for level, taken in self.pool.counts.taken.items()}

    async def call(self, setup: bytes = SETUP) -> User:
        user = User()
        user.waited = await self.pool.open(user, setup)
        assert user.leg is not None
        return user

    def later(self, seconds: float) -> None:
        """Time passes, and the pool looks at it."""
        self.now_ns += int(seconds * S)
        self.pool._tend()


@asynccontextmanager
async def pooled(**limits: int) -> AsyncIterator[Pooled]:
    async with fake_gemini() as server:
        it = Pooled(server, limits)
        it.pool.start()
        try:
            yield it
        finally:
            await it.pool.close()


async def test_a_call_without_warm_connections_is_served_cold() -> None:
    async with pooled(total=0) as it:
        await it.call()
        assert it.taken() == {"session": 0, "socket": 0, "cold": 1}
        assert len(it.server.sessions) == 1


async def test_a_warm_socket_serves_any_agent_and_another_takes_its_place() -> None:
    async with pooled() as it:
        await it.warm(1)
        assert it.server.sessions[0].messages == []
        user = await it.call(OTHER)
        assert it.server.sessions[0].messages == [
            {"setup": {"model": "models/gemini-3.8-live", "labels": {}}}
        ]
        assert user.waited[0] == 0
        assert it.taken() == {"session": 0, "socket": 1, "cold": 0}
        await it.warm(1)


async def test_a_setup_that_comes_again_is_given_a_session_without_any_wait() -> None:
    async with pooled() as it:
        for _ in range(2):
            await it.call()
        await it.warm(1, 1)
        user = User()
        opening = it.pool.open(user, SETUP)
        with pytest.raises(StopIteration) as done:
            opening.send(None)  # runs up to the first await, and there is none
        assert done.value.value == (0, 0)
        assert user.leg is not None
        assert it.taken()["session"] == 1


async def test_a_session_is_for_its_very_setup_and_for_one_call() -> None:
    async with pooled() as it:
        for _ in range(2):
            await it.call()
        await it.warm(1, 1)
        before = it.taken()["session"]
        await it.call(OTHER)
        assert it.taken()["session"] == before
        legs = [(await it.call()).leg for _ in range(2)]
        assert legs[0] is not legs[1]


async def test_a_resumed_session_s_setup_is_no_demand() -> None:
    async with pooled() as it:
        for _ in range(4):
            await it.pool.open(User(), SETUP, repeats=False)
        assert it.pool.wanted()["session"] == 0


async def test_what_the_service_said_while_it_waited_reaches_the_call() -> None:
    async with pooled() as it:
        for _ in range(2):
            await it.call()
        await it.warm(1, 1)
        model = await it.warm_session()
        model.say({"sessionResumptionUpdate": {"newHandle": "h1", "resumable": True}})
        await eventually(lambda: it.pool._warm[SETUP][0]._kept)
        user = await it.call()
        assert len(user.frames) == 1
        assert b"newHandle" in user.frames[0]
        model.content(turnComplete=True)
        await eventually(lambda: len(user.frames) == 2)


async def test_after_hand_over_frames_go_straight_to_the_session() -> None:
    async with pooled() as it:
        await it.warm(1)
        user = await it.call()
        assert user.leg.on_message == user.model_frame  # type: ignore[union-attr]


async def test_a_warm_one_that_the_service_closes_is_dropped_counted_and_replaced() -> None:
    async with pooled() as it:
        await it.warm(1)
        it.server.sessions[0].close(WSCloseCode.GOING_AWAY, "bye")
        await eventually(lambda: it.pool.counts.discarded["closed"] == 1)
        await eventually(lambda: it.pool.held()["socket"] == 0)
        it.later(1)
        await it.warm(1)
        assert len(it.server.sessions) == 2


async def test_a_warm_session_that_is_told_to_go_away_is_dropped() -> None:
    async with pooled(sessions_min=1, sockets_min=0) as it:
        await it.call()
        model = await it.warm_session()
        model.say({"goAway": {"timeLeft": "50s"}})
        await eventually(lambda: it.pool.counts.discarded["go_away"] == 1)
        assert await model.closed() == 1000


async def test_a_warm_session_that_talks_before_it_is_asked_is_dropped() -> None:
    async with pooled(sessions_min=1, sockets_min=0) as it:
        await it.call()
        (await it.warm_session()).send_raw(b"no JSON")
        await eventually(lambda: it.pool.counts.discarded["closed"] == 1)


async def test_warm_ones_are_replaced_before_they_age() -> None:
    async with pooled() as it:
        await it.warm(1)
        it.pool._warm[b""][0].connected_ns = it.now_ns
        it.later(31)
        assert it.pool.counts.discarded["age"] == 1
        assert await it.server.sessions[0].closed() == 1000
        await it.warm(1)


async def test_a_call_gets_no_socket_that_is_too_old() -> None:
    async with pooled() as it:
        await it.warm(1)
        it.pool._warm[b""][0].connected_ns = it.now_ns
        it.now_ns += 31 * S
        await it.call()
        assert it.taken() == {"session": 0, "socket": 0, "cold": 1}


async def test_a_socket_that_died_without_a_word_costs_a_call_time_and_no_more() -> None:
    async with pooled() as it:
        await it.warm(1)
        it.server.answers_setup = False
        opening = asyncio.create_task(it.pool.open(user := User(), SETUP))
        model = it.server.sessions[0]
        await model.until(lambda: model.messages)
        it.server.answers_setup = True
        model.cut()
        await opening
        assert user.leg is not None
        assert it.taken()["cold"] == 1
        assert it.pool.counts.discarded["dead"] == 1


async def test_a_refused_setup_is_told_at_once_and_not_tried_twice() -> None:
    async with pooled() as it:
        await it.warm(1)
        it.server.answers_setup = False
        opening = asyncio.create_task(it.pool.open(User(), SETUP))
        model = it.server.sessions[0]
        await model.until(lambda: model.messages)
        model.close(WSCloseCode.INVALID_TEXT, "Request contains an invalid argument.")
        with pytest.raises(ModelFailure, match="invalid argument"):
            await opening
        assert sum(bool(session.messages) for session in it.server.sessions) == 1


async def test_a_call_that_is_given_up_takes_its_socket_with_it() -> None:
    async with pooled(sockets_min=1) as it:
        await it.warm(1)
        it.server.answers_setup = False
        opening = asyncio.create_task(it.pool.open(User(), SETUP))
        await it.server.sessions[0].until(lambda: it.server.sessions[0].messages)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert await it.server.sessions[0].closed() == 1000


async def test_a_call_that_is_given_up_while_it_connects_leaves_no_socket_when_the_upgrade_comes_late() -> (
    None
):
    upgrading = asyncio.Event()
    over = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        upgrading.set()
        key = next(
            line.split(b": ")[1] for line in request.split(b"\r\n") if b"sec-websocket-key" in line.lower()
        )
        await given_up.wait()
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        writer.write(head + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        assert await reader.read() == b"", "nothing is said on a socket that nobody waits for"
        over.set()
        writer.close()

    given_up = asyncio.Event()
    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        opening = asyncio.create_task(connect(GeminiEndpoint(url, "v1beta", "k", 5.0), ModelLeg()))
        await upgrading.wait()
        opening.cancel()
        await asyncio.wait([opening])
        given_up.set()
        async with asyncio.timeout(5):
            await over.wait()


async def test_an_ephemeral_token_is_left_to_the_call_it_is_for() -> None:
    settings = Settings(_env_file=None, gemini_api_key="auth_tokens/once")  # type: ignore[call-arg]
    endpoint = GeminiEndpoint("http://127.0.0.1:1", "v1alpha", "auth_tokens/once", 5.0)
    pool = GeminiPool.of(settings, endpoint)
    pool.start()
    assert pool.wanted() == {"socket": 0, "session": 0}
    await pool.close()


async def test_http_429_shrinks_the_pool_and_the_next_attempt_waits() -> None:
    async with pooled(sockets_min=4) as it:
        await it.warm(4)
        it.server.refuse = 429
        with pytest.raises(ModelFailure):
            for _ in range(6):
                await it.call()
        await eventually(lambda: it.pool.wanted()["socket"] < 4)
        refused = it.pool.counts.failures["quota"]
        it.later(0.1)
        assert it.pool.counts.failures["quota"] == refused


async def test_a_close_that_speaks_of_quota_shrinks_it_too() -> None:
    async with pooled(sockets_min=4) as it:
        await it.warm(4)
        it.server.sessions[0].close(
            WSCloseCode.INTERNAL_ERROR, "You exceeded your current quota, please check"
        )
        await eventually(lambda: it.pool.counts.discarded["quota"] == 1)
        assert it.pool.wanted()["socket"] == 2
        await it.warm(2)
        assert it.pool.counts.discarded["surplus"] == 1


async def test_while_the_service_is_away_attempts_are_few() -> None:
    async with pooled() as it:
        await it.warm(1)
        it.pool._endpoint = GeminiEndpoint("http://127.0.0.1:1", "v1beta", "a-key", 5.0)
        it.server.sessions[0].cut()
        await eventually(lambda: it.pool.held()["socket"] == 0)
        for _ in range(100):  # ten seconds
            it.later(0.1)
            await asyncio.sleep(0)
            while it.pool._tasks:
                await asyncio.wait(it.pool._tasks)
        assert 1 <= it.pool.counts.failures["retryable"] <= 8


async def test_closing_leaves_nothing_open() -> None:
    process = psutil.Process()
    async with fake_gemini() as server:
        before = process.num_fds()
        it = Pooled(server, {"sockets_min": 4})
        it.pool.start()
        await it.warm(4)
        it.pool._policy.asked(SETUP, it.now_ns)
        it.pool._policy.asked(SETUP, it.now_ns)
        it.pool._tend()  # one is being opened when everything ends
        await it.pool.close()
        assert it.pool.held() == {"socket": 0, "session": 0}
        await eventually(lambda: process.num_fds() == before)
        assert not it.pool._tasks
