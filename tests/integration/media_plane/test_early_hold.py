"""An agent that is held early, over real sockets, against the simulator's own idea of an interruption."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx

from media_plane.dsp.g711 import compress
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings, TurnSettings
from protos.voiceplane.media.v1 import media_pb2 as pb
from tests.support.gemini_sim import running
from tests.support.media_peers import Caller, Plane, media_plane, tone

GREETING = "one two three four five six seven eight nine ten"  # a tone of 330 ms a word
GREETING_MS = 3300
HUSH = b"\xff" * 160
LOUD = compress(tone(300, 20, 8000, 6000)).tobytes()
TOLERANCE_MS = 100  # a busy loop is late; what is left out or said twice would be seconds


class Line:
    """A caller's line in real time: silent, but when it is told to be loud."""

    def __init__(self, caller: Caller) -> None:
        self._loud = 0  # frames
        self._quiet = asyncio.Event()
        self._task = asyncio.create_task(self._run(caller))

    async def noise(self, ms: int) -> None:
        self._quiet.clear()
        self._loud = ms // 20
        await self._quiet.wait()

    async def _run(self, caller: Caller) -> None:
        clock = asyncio.get_running_loop()
        due = clock.time()
        while caller.close_code is None:
            caller.media(LOUD if self._loud else HUSH)
            self._loud = max(self._loud - 1, 0)
            if not self._loud:
                self._quiet.set()
            due += 0.02
            await asyncio.sleep(max(0.0, due - clock.time()))

    def stop(self) -> None:
        self._task.cancel()


def heard_ms(caller: Caller) -> float:
    """What a telephone has played, when all it got was played as it came."""
    played = queued_until = 0.0
    for at_ns, message in zip(caller.times_ns, caller.messages, strict=True):
        now = at_ns / 1e6
        if message["event"] == "media":
            ms = len(base64.b64decode(message["media"]["payload"])) / 8
            queued_until = max(queued_until, now) + ms
            played += ms
        elif message["event"] == "clear":
            played -= max(0.0, queued_until - now)
            queued_until = now
    return played


def cleared_ns(caller: Caller) -> list[int]:
    return [at_ns for at_ns, m in zip(caller.times_ns, caller.messages, strict=True) if m["event"] == "clear"]


async def greeted(plane: Plane, hold: bool) -> tuple[Caller, Line]:
    """The agent has been greeting for a second."""
    turns = TurnSettings(hold_after_ms=0) if hold else TurnSettings()
    agent = pb.AgentConfig(
        system_prompt="You answer.", greeting=GREETING, settings=AgentSettings(turns=turns)
    )
    prepared = await plane.prepare(agent=agent)
    caller = await plane.dial(prepared.stream_url)
    caller.start()
    line = Line(caller)
    await caller.until(lambda: caller.heard)
    await asyncio.sleep(1)
    return caller, line


async def test_after_a_cough_the_agent_goes_on_where_it_was_held() -> None:
    async with running() as sim, media_plane(gemini_base_url=f"http{sim.url[2:]}") as plane:
        caller, line = await greeted(plane, hold=True)
        await line.noise(120)
        await caller.until(lambda: cleared_ns(caller))
        assert len(caller.heard) / 8 > heard_ms(caller)
        node = plane.server.node
        await asyncio.sleep(0.4)
        assert node.holds.in_vain == 0  # it waits for the model to say so
        held = len(caller.heard)
        await caller.until(lambda: len(caller.heard) >= held + 8 * 500)
        assert (node.holds.held, node.holds.in_vain, node.holds.confirmed) == (1, 1, 0)
        assert abs(heard_ms(caller) - GREETING_MS) <= TOLERANCE_MS
        assert node.tally().interruptions == 0
        line.stop()


async def test_a_real_interruption_silences_the_agent_before_the_model_has_noticed_it() -> None:
    async with (
        running() as sim,
        media_plane(gemini_base_url=f"http{sim.url[2:]}") as plane,
        httpx.AsyncClient(base_url=sim.admin, trust_env=False) as admin,
    ):
        caller, line = await greeted(plane, hold=True)
        await line.noise(700)
        node = plane.server.node
        await caller.until(lambda: len(caller.heard) / 8 > GREETING_MS, within_s=15)  # the answer to it
        (clear_ns,) = cleared_ns(caller)
        log = await simulator_log(admin)
        (interrupted_ns,) = [each["t_ns"] for each in log if each["kind"] == "interrupted"]
        assert clear_ns < interrupted_ns
        assert (node.holds.held, node.holds.confirmed, node.holds.in_vain) == (1, 1, 0)
        assert node.tally().interruptions == 1
        line.stop()


async def test_without_the_setting_the_model_decides() -> None:
    async with (
        running() as sim,
        media_plane(gemini_base_url=f"http{sim.url[2:]}") as plane,
        httpx.AsyncClient(base_url=sim.admin, trust_env=False) as admin,
    ):
        caller, line = await greeted(plane, hold=False)
        await line.noise(700)
        await caller.until(lambda: cleared_ns(caller))
        log = await simulator_log(admin)
        (interrupted_ns,) = [each["t_ns"] for each in log if each["kind"] == "interrupted"]
        assert cleared_ns(caller)[0] >= interrupted_ns
        assert plane.server.node.holds.held == 0
        line.stop()


async def simulator_log(admin: httpx.AsyncClient) -> list[dict[str, Any]]:
    (session,) = (await admin.get("/sessions")).json()
    return list((await admin.get(f"/sessions/{session['id']}/log")).json())
