"""The node against the Gemini simulator: a peer written without it, that speaks the service's wire."""

from __future__ import annotations

import asyncio
import contextlib
import uuid

from media_plane.dsp.g711 import compress
from tests.support.gemini_sim import running
from tests.support.media_peers import Caller, Plane, media_plane, tone


async def live(plane: Plane, greeting: str = "") -> Caller:
    prepared = await plane.prepare(f"call-{uuid.uuid4()}", greeting=greeting)
    caller = await plane.dial(prepared.stream_url)
    caller.start()
    return caller


async def speak(caller: Caller, ms: int, amplitude: float = 8000) -> None:
    """The caller's line, in real time."""
    ulaw = compress(tone(300, ms, 8000, amplitude)).tobytes()
    clock = asyncio.get_running_loop()
    began = clock.time()
    for number, at in enumerate(range(0, len(ulaw), 160), 1):
        caller.media(ulaw[at : at + 160])
        await asyncio.sleep(max(0.0, began + number * 0.02 - clock.time()))


async def test_the_greeting_and_an_answer_are_heard_and_speaking_over_it_silences_it() -> None:
    async with running() as sim, media_plane(gemini_base_url=f"http{sim.url[2:]}") as plane:
        caller = await live(plane, greeting="Good morning")
        await caller.until(lambda: len(caller.heard) > 4000)
        hush = asyncio.create_task(speak(caller, 60_000, amplitude=0))
        await caller.until(lambda: caller.messages[-1]["event"] == "mark")
        hush.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await hush
        await speak(caller, 600)
        before = len(caller.heard)
        hush = asyncio.create_task(speak(caller, 60_000, amplitude=0))
        await caller.until(lambda: len(caller.heard) > before + 4000, within_s=20)
        hush.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await hush
        barge_in = asyncio.create_task(speak(caller, 1500))
        await caller.until(lambda: caller.of("clear"))
        await barge_in
        assert plane.server.node.tally().interruptions >= 1
