"""A node whose model falls silent, over real sockets: each fault of the simulator, and what helps."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.request import urlopen

import pytest

from bench.sim.gemini.faults import Fault
from media_plane.call.stall import Cause, Outcome, Rung
from media_plane.dsp.g711 import compress
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings, StallSettings, TurnSettings
from protos.voiceplane.media.v1 import media_pb2 as pb
from tests.support.eventually import eventually
from tests.support.gemini_sim import STEADY, Running, running, steady
from tests.support.media_peers import Caller, Plane, media_plane, tone

FOR_EVER = 3_600_000
EVER_SINCE = 1_000_000
QUICK = {**STEADY["delays"], "setup": 20, "think_speech": 100, "think_text": 450, "think_tool": 150}
STEP = {"heard": "when are you open", "reply": "from nine until six", "hearing": 20, "voice": {"ms": 500}}
LOUD = compress(tone(300, 20, 8000)).tobytes()
HUSH = b"\xff" * 160
SETTINGS = AgentSettings(turns=TurnSettings(silence_duration_ms=200))
LINES = ("One moment, please.", "Goodbye.")


class Line:
    """A caller and their line, which is never still."""

    def __init__(self, plane: Plane, sim: Running, caller: Caller, workflow_id: str) -> None:
        self.plane, self.sim, self.caller, self.workflow_id = plane, sim, caller, workflow_id
        self.counts = plane.server.node.stalls.book.counts
        self._loud = 0

    async def run(self) -> None:
        clock = asyncio.get_running_loop()
        began, number = clock.time(), 0
        while self.caller.close_code is None:
            number += 1
            self.caller.media(LOUD if self._loud > 0 else HUSH)
            self._loud -= 1
            await asyncio.sleep(max(0.0, began + number * 0.02 - clock.time()))

    def arm(self, session: str = "", **fault: Any) -> None:
        """For the session that is there now, unless another one is named."""
        live = session or self.sim.simulator.live[-1].session.id
        self.sim.simulator.arm(Fault.model_validate({"session": live, **fault}))

    def speak(self, ms: int = 500) -> None:
        self._loud = ms // 20

    async def hears(self, ms: int, within_s: float = 10.0) -> None:
        """More of the agent than so far."""
        before = len(self.caller.heard)
        await self.caller.until(lambda: len(self.caller.heard) >= before + 8 * ms, within_s)

    async def talks_once(self) -> None:
        """A turn of either side, to its end, which the next session's handle remembers."""
        self.speak()
        await self.hears(500)
        found = self.plane.server.node.find(self.workflow_id)
        assert found is not None
        turns = found[0]._turns
        await eventually(lambda: turns.current is None)

    async def comes(self, cause: Cause, rung: Rung, outcome: Outcome) -> None:
        await eventually(lambda: self.counts.rungs[cause, rung, outcome])


@asynccontextmanager
async def line(
    *, tool: dict[str, Any] | None = None, lines: tuple[str, str] = ("", ""), **agent: Any
) -> AsyncIterator[Line]:
    """`lines`: to hold on and to say goodbye; each is made in a session of its own."""
    chosen = steady(delays=QUICK, script=[STEP | ({"tool": tool} if tool else {})])
    async with (
        running(chosen) as sim,
        media_plane(
            gemini_base_url=f"http{sim.url[2:]}",
            stall_wait_min_s=0.5,
            stall_wait_max_s=0.8,
            stall_gap_s=0.5,
            stall_hold_line=lines[0],
            stall_goodbye_line=lines[1],
        ) as plane,
    ):
        workflow_id = f"call-{uuid.uuid4()}"
        config = pb.AgentConfig(system_prompt="You answer.", **{"settings": SETTINGS, **agent})
        prepared = await plane.prepare(workflow_id, agent=config)
        caller = await plane.dial(prepared.stream_url)
        caller.start()
        found = Line(plane, sim, caller, workflow_id)
        sending = asyncio.create_task(found.run())
        try:
            yield found
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sending


FAULTS: dict[Cause, dict[str, Any]] = {
    Cause.NO_REPLY: {"fault": "no_reply"},
    Cause.EMPTY_TURN: {"fault": "empty_turn_complete"},
    Cause.PHANTOM: {"fault": "phantom_interrupted", "at": "reply", "after_ms": 150},
    Cause.BROKE_OFF: {"fault": "stall", "ms": FOR_EVER, "at": "reply", "after_ms": 100},
}


@pytest.mark.parametrize("cause", FAULTS)
async def test_a_nudge_brings_the_model_back(cause: Cause) -> None:
    async with line() as call:
        call.arm(**FAULTS[cause])
        call.speak()
        await call.comes(cause, Rung.NUDGE, Outcome.RECOVERED)
        await eventually(lambda: len(call.caller.heard) >= 8 * 300)
        assert call.counts.stalls == {cause: 1}


async def test_a_function_s_answer_that_is_not_used_is_brought_to_mind() -> None:
    tool = {"function": "lookup", "args": {}, "then": "It is {output}."}
    declared = [pb.Tool(name="lookup", description="Looks up.", blocking=True)]
    async with line(tool=tool, tools=declared) as call:
        call.arm(fault="tool_ignored")
        call.speak()
        found = call.plane.server.node.find(call.workflow_id)
        assert found is not None
        desk = found[0].desk
        await eventually(lambda: desk.pending)
        [tool_call] = desk._tools._open
        response = json.dumps({"output": "room twelve"})
        await call.plane.stub.AnswerTool(
            pb.AnswerToolRequest(workflow_id=call.workflow_id, tool_call_id=tool_call, response_json=response)
        )
        await call.comes(Cause.TOOL, Rung.NUDGE, Outcome.RECOVERED)


async def test_a_session_that_is_dead_is_resumed_and_the_caller_need_not_say_it_again() -> None:
    async with line() as call:
        await call.talks_once()
        call.arm(fault="no_reply", turns=EVER_SINCE)
        call.speak()
        await call.comes(Cause.NO_REPLY, Rung.RESUME, Outcome.RECOVERED)
        sessions = list(call.sim.simulator.connections.values())
        assert len(sessions) == 2
        setup = sessions[1].session.setup_body
        assert setup is not None
        assert setup["sessionResumption"]["handle"]
        assert call.caller.close_code is None


async def test_a_memory_that_is_dead_is_left_behind() -> None:
    async with line() as call:
        await call.talks_once()
        call.arm(fault="no_reply", turns=EVER_SINCE)
        call.arm("next", fault="no_reply", turns=EVER_SINCE)
        call.speak()
        await call.comes(Cause.NO_REPLY, Rung.FRESH, Outcome.RECOVERED)
        sessions = list(call.sim.simulator.connections.values())
        assert len(sessions) == 3
        setup = sessions[2].session.setup_body
        assert setup is not None
        assert "handle" not in setup["sessionResumption"]


async def test_a_call_that_nothing_helps_ends_if_its_agent_says_so() -> None:
    ends = AgentSettings(
        turns=SETTINGS.turns, stalls=StallSettings(then=StallSettings.END_CALL, wait_max_ms=600)
    )
    async with line(settings=ends) as call:
        call.arm("all", fault="no_reply", turns=EVER_SINCE)
        call.speak()
        await call.caller.closed(20)
        assert call.counts.rungs[Cause.NO_REPLY, Rung.NUDGE, Outcome.IN_VAIN] == 1
        assert call.plane.server.node.counters.ended == {"model_failed": 1}


async def test_lines_made_when_a_model_first_falls_silent_are_heard_when_nothing_helps() -> None:
    ends = AgentSettings(
        turns=SETTINGS.turns, stalls=StallSettings(then=StallSettings.END_CALL, wait_max_ms=600)
    )
    async with line(settings=ends, lines=LINES) as call:
        call.arm(fault="no_reply")
        call.speak()
        await call.comes(Cause.NO_REPLY, Rung.NUDGE, Outcome.RECOVERED)
        lines = call.plane.server._lines.of_call("gemini-3.8-live", "Puck")
        hold, goodbye = await eventually(lines.hold), await eventually(lines.goodbye)
        call.arm("all", fault="no_reply", turns=EVER_SINCE)
        call.speak()
        await call.caller.closed(20)
        heard = call.caller.heard
        assert 0 <= heard.find(hold.ulaw) < heard.find(goodbye.ulaw)
        assert call.counts.rungs[Cause.NO_REPLY, Rung.HOLD, Outcome.IN_VAIN] == 1
        assert call.plane.server.node.counters.ended == {"model_failed": 1}


async def test_an_agent_may_ask_to_be_left_alone() -> None:
    alone = AgentSettings(turns=SETTINGS.turns, stalls=StallSettings(watch=False))
    async with line(settings=alone, lines=LINES) as call:
        call.arm(fault="no_reply")
        call.speak()
        await eventually(lambda: [c for c in call.sim.simulator.live if noted(c, "no_reply")])
        call.speak()
        await call.hears(500)
        assert not call.counts.stalls
        assert len(call.sim.simulator.connections) == 1


async def test_slow_answers_that_come_are_no_stalls_and_the_figures_say_so() -> None:
    async with line(lines=LINES) as call:
        for _ in range(2):
            call.speak(300)
            await call.hears(500)
        url = call.plane.endpoints["media_metrics"]
        page = (await asyncio.to_thread(lambda: urlopen(url).read())).decode()
        assert "voiceplane_media_stalls_total{" not in page
        assert "voiceplane_media_spoken_lines_total{" not in page
        assert 'voiceplane_media_normal_reply_seconds{kind="spoken",model="gemini-3.8-live"} 3.5' in page


def noted(connection: Any, kind: str) -> list[dict[str, Any]]:
    return [each for each in connection.log.lines() if each["kind"] == kind]
