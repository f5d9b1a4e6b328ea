"""The session's function calls: does what `call.tools` decides. Like the session, it never awaits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import structlog

from media_plane.agent_audio import nobody
from media_plane.call.farewell import Farewell
from media_plane.call.tools import Action, Outcome, Respond, Tool, ToolCounts, Tools
from media_plane.leg import Leg
from media_plane.wire import gemini, gemini_tools
from media_plane.wire.events import Body, ToolAnswered, ToolCalled
from media_plane.wire.gemini_tools import ToolResponse

log = structlog.get_logger(__name__)


class ToolDesk:
    """`emit` is given events, `responded` what the model was answered. `model`, where it is asked for, is the
    model's socket; None: there is none now."""

    def __init__(
        self,
        workflow_id: str,
        tools: Iterable[Tool],
        emit: Callable[[Body, int], None],
        responded: Callable[[Iterable[ToolResponse], int], None] = nobody,
    ) -> None:
        self._tools = Tools.of(workflow_id, tools)
        self._emit = emit
        self._responded = responded
        self._log = log.bind(workflow_id=workflow_id)

    @property
    def farewell(self) -> Farewell:
        return self._tools.farewell

    @property
    def counts(self) -> ToolCounts:
        return self._tools.counts

    @property
    def pending(self) -> int:
        """Calls the model waits for, or will be told the outcome of."""
        return self._tools.pending

    def model_says(
        self, message: gemini.ServerMessage, now_ns: int, *, said: bool, model: Leg | None
    ) -> None:
        """`said`: the agent has spoken since the caller last did."""
        if message.tool_cancellations:
            self._do(self._tools.cancelled(message.tool_cancellations, now_ns), now_ns, model)
        if message.tool_calls:
            self._do(self._tools.called(message.tool_calls, now_ns, said=said), now_ns, model)

    def answer(
        self, key: str, response: dict[str, Any], now_ns: int, *, spoke_ns: int, model: Leg | None
    ) -> Outcome:
        outcome, actions = self._tools.answered(key, response, now_ns, spoke_ns=spoke_ns)
        self._do(actions, now_ns, model)
        return outcome

    def let_go(self) -> None:
        """As of AgentAudio."""
        self._emit = self._responded = nobody

    def tick(self, now_ns: int, model: Leg | None) -> None:
        deadline_ns = self._tools.deadline_ns
        if deadline_ns and now_ns >= deadline_ns:
            self._do(self._tools.tick(now_ns), now_ns, model)

    def interrupted(self) -> None:
        """The caller spoke over the agent."""
        if self._tools.farewell.interrupted():
            self._tools.counts.ends_called_off += 1
            self._log.info("the call goes on: the caller spoke over the goodbye")

    def session_lost(self) -> None:
        """The model's session is gone, and another one takes the call on."""
        self._tools.session_lost()

    def _do(self, actions: Iterable[Action], now_ns: int, model: Leg | None) -> None:
        for action in actions:
            if isinstance(action, Respond):
                assert model is not None, "calls are answered to the session that made them"
                model.send_text(gemini_tools.tool_response(action.responses))
                self._responded(action.responses, now_ns)
                continue
            if isinstance(action, ToolCalled):
                self._log.info("tool called", tool=action.name, tool_call=action.tool_call_id)
            elif isinstance(action, ToolAnswered):
                self._log.info(
                    "tool answered",
                    tool=action.name,
                    tool_call=action.tool_call_id,
                    ms=action.waited_ms,
                    error=action.error,
                    late=action.late,
                )
            self._emit(action, now_ns)
