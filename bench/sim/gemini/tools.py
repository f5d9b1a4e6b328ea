"""Function calls of the model: asked, answered, interrupted.

Source for the interruption of a blocking call (field report on 3.8): `toolCallCancellation` was never sent;
the call is dropped silently, an answer to its old id is ignored, and the same call comes again with a new id
2.6–3.6 s later. `cancellation: message` does what the reference says instead.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from bench.sim.gemini.errors import Refused
from bench.sim.gemini.outbox import Outbox
from bench.sim.gemini.scenario import Scenario, ToolUse, draw_ns
from bench.sim.gemini.timers import Timer, Timers


@dataclass(frozen=True, slots=True)
class Call:
    """One call on its way."""

    id: str
    tool: ToolUse
    blocking: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """A function's answer to a call that was still open."""

    call: Call
    response: Any
    scheduling: str


class ToolCalls:
    """The open calls of a session."""

    def __init__(self, scenario: Scenario, out: Outbox, timers: Timers, rng: random.Random) -> None:
        self._scenario = scenario
        self._out = out
        self._timers = timers
        self._rng = rng
        self._open: dict[str, Call] = {}
        self._issued: set[str] = set()
        self._reissue: Timer | None = None

    @property
    def blocked(self) -> bool:
        """The model is mute: a blocking call is open, or about to come again."""
        return self._reissue is not None or any(call.blocking for call in self._open.values())

    @property
    def pending(self) -> bool:
        """Any call is open."""
        return bool(self._open) or self._reissue is not None

    def call(self, tool: ToolUse, now_ns: int, *, blocking: bool) -> None:
        """Send a toolCall."""
        number = f"function-call-{self._rng.randrange(10**18, 10**19)}"
        self._open[number] = Call(number, tool, blocking)
        self._issued.add(number)
        calls = [{"id": number, "name": tool.function, "args": tool.args}]
        self._out.send({"toolCall": {"functionCalls": calls}}, now_ns)

    def answer(self, responses: list[dict[str, Any]]) -> list[Answer]:
        """The client's toolResponse; answers to dropped calls are ignored.

        Raises Refused for an id that was never issued, or none at all.
        """
        answers: list[Answer] = []
        for response in responses:
            number = response.get("id", "")
            if number not in self._issued:
                raise Refused(1007, "Request contains an invalid argument.")
            call = self._open.get(number)
            if call is None:
                continue
            if not response.get("willContinue", False):
                del self._open[number]
            scheduling = response.get("scheduling", "WHEN_IDLE")
            answers.append(Answer(call, response.get("response"), scheduling))
        if not responses:
            raise Refused(1007, "Request contains an invalid argument.")
        return answers

    def interrupt(self, now_ns: int) -> bool:
        """The caller spoke while a blocking call was open. Returns whether the call comes again."""
        dropped = [call for call in self._open.values() if call.blocking]
        for call in dropped:
            del self._open[call.id]
        if self._scenario.cancellation == "message":
            if dropped:
                ids = [call.id for call in dropped]
                self._out.send({"toolCallCancellation": {"ids": ids}}, now_ns)
            return False
        if dropped:
            self._out.note(now_ns, "tool_call_dropped", ids=[call.id for call in dropped])
            due_ns = now_ns + draw_ns(self._scenario.delays.reissue, self._rng)
            self._reissue = self._timers.at(due_ns, lambda at_ns: self._again(dropped, at_ns))
        return True

    def _again(self, dropped: list[Call], now_ns: int) -> None:
        self._reissue = None
        for call in dropped:
            self.call(call.tool, now_ns, blocking=True)
