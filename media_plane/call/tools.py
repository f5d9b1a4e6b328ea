"""The model's function calls: which are executed, and what the model is answered, whatever happens meanwhile.

Executed by the control plane; here is what the model waits for. Gemini Live's behaviour (field reports on
3.8): a blocking call that the caller talks over is dropped without a word, an answer to its id is ignored,
and the same call comes again 2.6-3.6 s later under a new id; after a session was resumed a call may come
again under its old id or a new one. So a call is known by its content too: what comes again joins the
execution under way, or gets the answer that was lost. When the model takes a call back by message
(toolCallCancellation), its execution is stopped, and one that repeats it carries the same idempotency key,
since nobody knows how far the first one got.

An unanswered call can freeze a session, so each is answered in time, if only with an error.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import Enum, auto
from typing import Any

from media_plane.call.farewell import Farewell
from media_plane.wire.events import Body, ToolAnswered, ToolCalled, ToolCancelled
from media_plane.wire.gemini_tools import ToolCall, ToolResponse

REPEAT_NS = 15_000_000_000  # a lost call comes again within 4 s; a resumed session's after the caller speaks
GRACE_NS = 1_500_000_000  # after a call's own timeout, for the error that its executor answers with
WORDS_FIRST_NS = 1_000_000_000  # a goodbye that comes beside end_call begins within this
MAX_OPEN = 32
_REMEMBERED = 32

_SAY_GOODBYE = (
    "The call ends as soon as you have finished speaking. If you have not said goodbye yet, say it now, "
    "briefly. If the caller speaks again first, answer, and call end_call once more."
)


@dataclass(frozen=True, slots=True)
class Tool:
    """A declared function. `scheduling`: of answers, when not blocking; empty: not said."""

    name: str
    blocking: bool = False
    timeout_ms: int = 10_000
    scheduling: str = ""
    ends_call: bool = False


@dataclass(frozen=True, slots=True)
class Respond:
    """To be sent to the model as one toolResponse."""

    responses: tuple[ToolResponse, ...]


Action = Body | Respond


class Outcome(Enum):
    TAKEN = auto()
    LATE = auto()


@dataclass(slots=True)
class _Open:
    """A call under way. `key`: the id it is executed under; `id`: what the model knows it by now, empty while
    it does not (its session is gone)."""

    key: str
    id: str
    call: ToolCall
    tool: Tool
    batch: int
    called_ns: int
    idempotency_key: str
    response: dict[str, Any] | None = None  # answered, but the model can't be told yet

    @property
    def deadline_ns(self) -> int:
        return self.called_ns + self.tool.timeout_ms * 1_000_000 + GRACE_NS


@dataclass(frozen=True, slots=True)
class _Done:
    """A call that is over. `lost`: the model may not have taken the answer; `response` None: none to give."""

    open: _Open
    response: dict[str, Any] | None
    lost: bool
    at_ns: int


@dataclass(slots=True)
class ToolCounts:
    """Since the call began."""

    called: int = 0
    repeated: int = 0  # joined an execution, or answered from memory
    cancelled: int = 0
    timed_out: int = 0
    late: int = 0
    refused: int = 0  # unknown function, or too many at once
    ends_called_off: int = 0

    def add(self, other: ToolCounts) -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


@dataclass(slots=True)
class Tools:
    """`deadline_ns`: when to call `tick` at the latest; 0: no such time. Actions are to be done in order."""

    workflow_id: str
    tools: dict[str, Tool]
    farewell: Farewell = field(default_factory=Farewell)
    counts: ToolCounts = field(default_factory=ToolCounts)
    _open: dict[str, _Open] = field(default_factory=dict)  # by key
    _done: deque[_Done] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _batch: int = 0
    _ending: tuple[ToolCall, Tool, int] | None = None  # end_call, not answered yet, and when it came

    @classmethod
    def of(cls, workflow_id: str, tools: Iterable[Tool]) -> Tools:
        return cls(workflow_id, {tool.name: tool for tool in tools})

    @property
    def pending(self) -> int:
        """Calls that are not answered."""
        return len(self._open)

    @property
    def deadline_ns(self) -> int:
        times = [call.deadline_ns for call in self._open.values() if call.response is None]
        if self._ending is not None:
            times.append(self._ending[2] + WORDS_FIRST_NS)
        return min(times, default=0)

    # -- from the model --

    def called(self, calls: Sequence[ToolCall], now_ns: int, *, said: bool) -> list[Action]:
        """A toolCall. `said`: the agent has spoken since the caller last did, or is speaking."""
        self._batch += 1
        actions: list[Action] = []
        at_once: list[ToolResponse] = []
        for call in calls:
            tool = self.tools.get(call.name)
            if tool is None or (len(self._open) >= MAX_OPEN and not tool.ends_call):
                self.counts.refused += 1
                error = "there is no such function" if tool is None else "too many calls are under way"
                at_once.append(ToolResponse(call.id, call.name, {"error": error}))
                actions.append(ToolAnswered(call.id, call.name, 0, error=error))
            elif tool.ends_call:
                self.farewell.ask(now_ns, said=said)
                self._ending = (call, tool, now_ns)
                if said or tool.blocking or not tool.scheduling:
                    actions += self._let_end(now_ns)
            elif not self._joins(call, tool):
                actions += self._again_or_new(call, tool, at_once, now_ns)
        if at_once:
            actions.append(Respond(tuple(at_once)))
        return actions + self._release()

    def cancelled(self, ids: Iterable[str], now_ns: int) -> list[Action]:
        """toolCallCancellation: the model takes calls back."""
        actions: list[Action] = []
        for each in ids:
            found = next((call for call in self._open.values() if call.id == each), None)
            if found is None:
                continue  # answered in this very moment, or never ours
            self._close(found, None, now_ns, lost=True)
            self.counts.cancelled += 1
            actions.append(ToolCancelled(found.key, found.call.name))
        return actions + self._release()

    def session_lost(self) -> None:
        """The model's session is gone. The next one begins before these calls, and before the latest answers:
        it asks again, or not."""
        self._ending = None
        for call in self._open.values():
            call.id = ""
        self._done = deque((replace(done, lost=True) for done in self._done), maxlen=_REMEMBERED)

    # -- from the executor --

    def answered(
        self, key: str, response: dict[str, Any], now_ns: int, *, spoke_ns: int = 0
    ) -> tuple[Outcome, list[Action]]:
        """`key`: ToolCalled's id; `spoke_ns`: when the caller was last heard (0: never)."""
        call = self._open.get(key)
        if call is None or call.response is not None:
            self.counts.late += 1
            name, called_ns = self._known(key, now_ns)
            return Outcome.LATE, [ToolAnswered(key, name, (now_ns - called_ns) // 1_000_000, late=True)]
        talked_over = call.tool.blocking and spoke_ns > call.called_ns
        return Outcome.TAKEN, self._answer(call, response, now_ns, lost=talked_over, keep=response)

    def tick(self, now_ns: int) -> list[Action]:
        """Answer what nobody has answered in time."""
        actions: list[Action] = []
        if self._ending is not None and now_ns >= self._ending[2] + WORDS_FIRST_NS:
            actions += self._let_end(now_ns)
        for call in [c for c in self._open.values() if c.response is None and now_ns >= c.deadline_ns]:
            self.counts.timed_out += 1
            actions.append(ToolCancelled(call.key, call.call.name))
            error = {"error": "the function did not answer in time"}
            actions += self._answer(call, error, now_ns, lost=True, keep=None)
        return actions

    # -- inside --

    def _let_end(self, now_ns: int) -> list[Action]:
        """Answer end_call: in silence when the goodbye is said, or the model would say it twice."""
        assert self._ending is not None, "only an end that was asked for is answered"
        (call, tool, called_ns), self._ending = self._ending, None
        scheduling = "" if tool.blocking else tool.scheduling
        if scheduling and self.farewell.said:
            scheduling = "SILENT"
        response = ToolResponse(call.id, call.name, {"output": _SAY_GOODBYE}, scheduling)
        waited_ms = (now_ns - called_ns) // 1_000_000
        return [ToolAnswered(call.id, call.name, waited_ms), Respond((response,))]

    def _joins(self, call: ToolCall, tool: Tool) -> bool:
        """Whether `call` is one under way, told again; from now on it is known by its new id.

        A blocking call holds the model's tongue, so while it is open an equal one can only be its repetition;
        so can any that comes after its session was lost. Equal calls of one frame are two calls.
        """
        for known in self._open.values():
            same_id = call.id in (known.id, known.key)
            equal = (known.call.name, known.call.arguments) == (call.name, call.arguments)
            repeated = equal and known.batch != self._batch and (tool.blocking or not known.id)
            if same_id or repeated:
                known.id = call.id
                known.batch = self._batch
                self.counts.repeated += 1
                return True
        return False

    def _again_or_new(
        self, call: ToolCall, tool: Tool, at_once: list[ToolResponse], now_ns: int
    ) -> list[Action]:
        before = self._before(call, now_ns)
        if before is not None and before.response is not None:
            self.counts.repeated += 1
            at_once.append(_response(call, tool, before.response))
            self._done.remove(before)
            self._done.append(_Done(before.open, before.response, lost=False, at_ns=now_ns))
            error = str(before.response.get("error", ""))
            return [ToolAnswered(call.id, call.name, 0, error=error, repeated=True)]
        key = before.open.idempotency_key if before is not None else f"{self.workflow_id}:{call.id}"
        self._open[call.id] = _Open(call.id, call.id, call, tool, self._batch, now_ns, key)
        self.counts.called += 1
        return [ToolCalled(call.id, call.name, call.arguments, key, tool.timeout_ms)]

    def _before(self, call: ToolCall, now_ns: int) -> _Done | None:
        """The call that `call` repeats, if it does: the same id, or the same content as one whose answer the
        model may have missed."""
        for done in reversed(self._done):
            if call.id in (done.open.id, done.open.key) and done.response is not None:
                return done
            same = (done.open.call.name, done.open.call.arguments) == (call.name, call.arguments)
            if same and done.lost and now_ns - done.at_ns <= REPEAT_NS:
                return done
        return None

    def _answer(
        self,
        call: _Open,
        response: dict[str, Any],
        now_ns: int,
        *,
        lost: bool,
        keep: dict[str, Any] | None,
    ) -> list[Action]:
        """`keep`: what the same call is answered with when it comes again; None: it is executed again."""
        waited_ms = (now_ns - call.called_ns) // 1_000_000
        error = str(response.get("error", ""))
        answered = ToolAnswered(call.id or call.key, call.call.name, waited_ms, error=error)
        if not call.id:
            self._close(call, keep, now_ns, lost=True)  # for a session that asks again
            return [answered, *self._release()]
        call.response = response
        if not call.tool.blocking:
            self._close(call, keep, now_ns, lost=lost)
            return [answered, Respond((_response(call.call, call.tool, response, call.id),))]
        self._done.append(_Done(call, keep, lost, now_ns))
        return [answered, *self._release()]

    def _release(self) -> list[Action]:
        """Blocking calls of one frame are answered in one frame, when the last of them is."""
        waiting = {c.batch for c in self._open.values() if c.response is None and c.id and c.tool.blocking}
        ready = [c for c in self._open.values() if c.response is not None and c.batch not in waiting]
        for call in ready:
            del self._open[call.key]
        answers = tuple(_response(c.call, c.tool, c.response or {}, c.id) for c in ready if c.id)
        return [Respond(answers)] if answers else []

    def _close(self, call: _Open, response: dict[str, Any] | None, now_ns: int, *, lost: bool) -> None:
        del self._open[call.key]
        self._done.append(_Done(call, response, lost, now_ns))

    def _known(self, key: str, now_ns: int) -> tuple[str, int]:
        """Name and time of a call that is over."""
        for done in reversed(self._done):
            if done.open.key == key:
                return done.open.call.name, done.open.called_ns
        return "", now_ns


def _response(call: ToolCall, tool: Tool, response: dict[str, Any], call_id: str = "") -> ToolResponse:
    return ToolResponse(call_id or call.id, call.name, response, "" if tool.blocking else tool.scheduling)
