"""The session's stalls: tells `call.stall_watch` what happens, and does what it decides. Like the session, it
never awaits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import structlog

from media_plane.agent_audio import AgentAudio, nobody
from media_plane.call.continuity import Renewal
from media_plane.call.conversation import Conversation
from media_plane.call.farewell import SETTLE_NS
from media_plane.call.playout import Playout
from media_plane.call.stall import Cause, Climb, Over, Rung, StallBook, StallRules
from media_plane.call.stall_watch import CROSSING_NS, StallWatch, Step
from media_plane.call.turn import Phase, Turn
from media_plane.leg import Leg
from media_plane.wire.events import Body, ModelStalled, Speaker
from media_plane.wire.gemini_nudge import Nudging, nudge
from media_plane.wire.gemini_tools import ToolResponse

log = structlog.get_logger(__name__)

_RENEWALS = {Rung.RESUME: Renewal.RESUME, Rung.FRESH: Renewal.FRESH}


@dataclass(frozen=True, slots=True)
class SpokenLine:
    """A sentence made ahead. `ulaw`: at 8 kHz."""

    text: str
    ulaw: bytes


class Lines(Protocol):
    """Where the sentences of the upper rungs come from; None: there is none (yet)."""

    def want(self, *, goodbye: bool) -> None:
        """They may be needed soon: have them made if they are not there."""

    def hold(self) -> SpokenLine | None: ...
    def goodbye(self) -> SpokenLine | None: ...


@dataclass(frozen=True, slots=True)
class Stalls:
    """What a call is given to deal with them. `book` is shared by the calls of a process."""

    rules: StallRules
    book: StallBook
    nudging: Nudging
    model: str  # of whose answers the times are learned
    silence_ms: int = 0  # as of ReplyBook.of
    lines: Lines | None = None


class StallDesk:
    """`emit` is given events. `renew` is to get another session for the call: False, it can't; else `renewed`
    is called when it is there. `end` ends the call; both are given a reason and the time."""

    def __init__(
        self,
        workflow_id: str,
        stalls: Stalls,
        *,
        greeting: str,
        conversation: Conversation,
        playout: Playout,
        agent: AgentAudio,
        emit: Callable[[Body, int], None],
        renew: Callable[[Renewal, str, int], bool],
        end: Callable[[str, int], None],
    ) -> None:
        book = stalls.book
        self._stalls = stalls
        self._greeting = greeting
        self._conversation = conversation
        self._turns = conversation.turns
        self._playout = playout
        self._agent = agent
        self._emit = emit
        self._renew = renew
        self._end = end
        self._watch = StallWatch(
            stalls.rules,
            book.times.of(stalls.model, stalls.silence_ms),
            book.counts,
            speech=conversation.speech,
            turns=conversation.turns,
            playout=playout,
        )
        self._words = ("", "")  # of the answer that was cut off last: heard, and not
        self._cut = False  # what broke off was, here; else the next session is asked to go on with it
        self._ends_ns = 0  # when the call ends, unless its goodbye plays on; 0: it does not
        self._log = log.bind(workflow_id=workflow_id)
        self.caller_text = self._watch.caller_text
        self.crossed = self._watch.crossed
        self.tool_called = self._watch.tool_called

    @property
    def look_ns(self) -> int:
        """When to call `tick`."""
        return self._watch.look_ns

    @property
    def renewing(self) -> bool:
        """A stall is being dealt with: a renewal under way is one of its rungs, or as good as that."""
        return self._watch.climbing

    def begin(self, now_ns: int) -> None:
        """Both legs are there, and the agent may speak."""
        self._watch.begin(now_ns, greeting=bool(self._greeting))

    def interrupted(self, turn: Turn | None, words: tuple[str, str], now_ns: int) -> None:
        """The model says that it is. `turn`: what was cut off; `words`: heard of that, and not."""
        if turn is not None and turn.cut:
            self._words = words
            self._watch.interrupted(now_ns, turn.began_ns)
        else:
            self._watch.interrupted(now_ns, 0)

    def turn_complete(self, now_ns: int) -> None:
        """turnComplete, before anybody else is told."""
        turn = self._turns.current
        self._watch.turn_complete(now_ns, spoke=turn is not None and turn.phase is not Phase.COMPLETE)

    def tool_answered(self, responses: Iterable[ToolResponse], now_ns: int) -> None:
        """The model was given answers; it makes words of them unless all are silent."""
        if any(response.scheduling != "SILENT" for response in responses):
            self._watch.tool_answered(now_ns)

    def renewed(self, now_ns: int) -> None:
        """Another session of the model's has taken over, whoever asked for it."""
        self._watch.renewed(now_ns)

    def tick(self, now_ns: int, model: Leg | None, *, held: bool) -> None:
        """`model`: its socket; `held`: somebody else has the word, a function for example."""
        if self._ends_ns:
            if self._playout.left_ns(now_ns):
                self._ends_ns = now_ns + SETTLE_NS
            elif now_ns >= self._ends_ns:
                self._end("the model did not answer", now_ns)
            return
        for step in self._watch.look(now_ns, held=held):
            self._do(step, model, now_ns)

    def let_go(self) -> None:
        """As of AgentAudio."""
        self._watch.end()
        self._emit = self._end = nobody
        self._renew = _never

    def _do(self, step: Step, model: Leg | None, now_ns: int) -> None:
        if isinstance(step, Over):
            self._over(step, now_ns)
            return
        rung, cause = step.rung, step.cause
        self._log.warning(
            "the model is silent",
            cause=cause.value,
            rung=rung.value,
            silent_ms=step.silent_ms,
            again=step.again,
        )
        if not step.again:
            self._emit(ModelStalled(cause.value, rung.value, "", step.silent_ms), now_ns)
            self._prepare()
        if cause is Cause.BROKE_OFF and rung is Rung.NUDGE:
            self._cut_off(now_ns)
        if not self._take(step, model, now_ns):
            self._watch.refused(now_ns)

    def _take(self, step: Climb, model: Leg | None, now_ns: int) -> bool:
        if step.again or step.rung is Rung.NUDGE:
            return self._nudge(step, model, now_ns)
        lines = self._stalls.lines
        if step.rung is Rung.HOLD:
            return self._say(lines.hold() if lines is not None else None, now_ns)
        if step.rung is Rung.END:
            self._ends_ns = now_ns
            self._say(lines.goodbye() if lines is not None else None, now_ns)
            return True
        return self._renew(_RENEWALS[step.rung], step.cause.value, now_ns)

    def _nudge(self, step: Climb, model: Leg | None, now_ns: int) -> bool:
        cause = step.cause
        if cause is Cause.BROKE_OFF and not self._cut:
            return True
        heard, unheard = self._words
        asked = self._conversation.transcript.open(Speaker.CALLER) if step.again else None
        message = nudge(
            cause,
            self._stalls.nudging,
            greeting=self._greeting,
            heard=heard,
            unheard=unheard,
            caller=asked.text if asked is not None else "",
            may_stay_silent=self._stalls.rules.may_stay_silent,
        )
        if message is None or model is None:
            return False
        model.send_text(message)
        if self._stalls.nudging is Nudging.CLIENT_CONTENT:
            # An answer that was on its way is cut off by that, so its beginning must not be played.
            self._turns.stale_until_ns = now_ns + CROSSING_NS
        return True

    def _cut_off(self, now_ns: int) -> None:
        """What broke off is not gone on with in the same breath."""
        turn = self._conversation.interrupt(now_ns)
        if turn is not None:
            self._cut = True
            self._words = self._conversation.cut_words(turn)[:2]
            self._agent.forget()

    def _prepare(self) -> None:
        """The upper rungs may come."""
        stalls = self._stalls
        if stalls.lines is not None:
            stalls.lines.want(goodbye=Rung.END in stalls.rules.rungs)

    def _say(self, line: SpokenLine | None, now_ns: int) -> bool:
        if line is None or not self._agent.say_ahead(line.ulaw):
            return False
        for body in self._conversation.agent_text(line.text, now_ns):
            self._emit(body, now_ns)
        self._turns.generated()
        self._turns.complete(now_ns, self._playout.end_ns)
        self._watch.own_audio()
        return True

    def _over(self, over: Over, now_ns: int) -> None:
        self._cut = False
        self._log.info(
            "the model is back",
            cause=over.cause.value,
            rung=over.rung.value,
            outcome=over.outcome.value,
            silent_ms=over.silent_ms,
        )
        self._emit(
            ModelStalled(over.cause.value, over.rung.value, over.outcome.value, over.silent_ms), now_ns
        )


def _never(how: Renewal, why: str, now_ns: int) -> bool:
    """There is no other session for a call that is over."""
    return False
