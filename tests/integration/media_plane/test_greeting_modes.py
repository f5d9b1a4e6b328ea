"""When the greeting is heard, over real sockets: at once, after hello, after a silence, never."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import numpy as np
import pytest

from media_plane.dsp.g711 import compress
from protos.voiceplane.media.v1 import media_pb2 as pb
from tests.support.eventually import eventually
from tests.support.media_peers import Caller, Plane, media_plane, tone

VOICE = compress(tone(300, 20, 8000)).tobytes()
HUSH = compress(np.zeros(160, np.int16)).tobytes()


async def ringing(plane: Plane, mode: str) -> Caller:
    """A call whose greeting is made, with its stream open and not started."""
    workflow_id = f"call-{uuid.uuid4()}"
    agent = pb.AgentConfig(system_prompt="You answer.", greeting="Good day!", greeting_mode=mode)
    prepared = await plane.prepare(workflow_id, agent=agent)
    model = plane.gemini.sessions[-1]
    if mode != "none":
        await model.until(lambda: len(model.messages) == 2)
        model.speak(tone(440, 1000, 24_000), generationComplete=True, turnComplete=True)
        session = plane.server.node.find(workflow_id)
        assert session is not None
        await eventually(lambda: session[0].unplayed_ms == 1000)
    return await plane.dial(prepared.stream_url)


async def line(caller: Caller, ms: int, ulaw: bytes) -> None:
    """The callee's line, in real time."""
    for _ in range(ms // 20):
        caller.media(ulaw)
        await asyncio.sleep(0.02)


async def test_immediate_is_what_happens_when_nothing_is_said() -> None:
    async with media_plane() as plane:
        for mode in ("", "immediate"):
            caller = await ringing(plane, mode)
            caller.start()
            await caller.until(lambda caller=caller: len(caller.heard) == 8000)  # type: ignore[misc]


async def test_after_hello_the_greeting_is_heard_and_the_model_has_not_heard_the_hello() -> None:
    async with media_plane(greeting_silence_s=2.5) as plane:
        caller = await ringing(plane, "after_hello")
        model = plane.gemini.sessions[-1]
        caller.start()
        await line(caller, 400, VOICE)
        assert not caller.heard
        hush = asyncio.create_task(line(caller, 5000, HUSH))
        await caller.until(lambda: len(caller.heard) == 8000)
        assert len(model.heard) < 16_000  # a second: nothing of it is from before the greeting
        assert abs(model.heard).max(initial=0) < 100
        hush.cancel()


async def test_after_a_silence_it_is_heard_without_a_hello() -> None:
    async with media_plane(greeting_silence_s=0.3) as plane:
        caller = await ringing(plane, "after_hello")
        caller.start()
        await caller.until(lambda: len(caller.heard) == 8000)


async def test_none_asks_the_model_for_no_greeting() -> None:
    async with media_plane() as plane:
        caller = await ringing(plane, "none")
        caller.start()
        caller.media(HUSH)
        model = plane.gemini.sessions[-1]
        await model.until(lambda: len(model.heard))
        assert not any("clientContent" in message for message in model.messages)


async def test_a_mode_that_there_is_not_is_refused() -> None:
    async with media_plane() as plane:
        with pytest.raises(grpc.aio.AioRpcError, match=r"agent\.greeting_mode") as refused:
            await ringing(plane, "later")
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
