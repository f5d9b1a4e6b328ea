"""Watches over one call for a model that is silent when it should speak, and climbs the ladder. Pure.

An answer is due when the caller has finished (by level, so whatever the model makes of it), when a function
has answered, when the model was asked to greet, and in the middle of a turn that has not been told to be
over. It has come when samples were sent to the caller or a function was called. Nothing is asked of the
frame's road: `look`, a few times a second, sees from the ledgers what has happened since; the rest is told
when it happens.

A rung that was taken too early costs the caller the answer that was on its way, which the rung cuts off: that
is why the wait follows what the model has lately needed, and why such cases are counted.
"""

from __future__ import annotations

from collections import Counter

from media_plane.call.playout import Playout
from media_plane.call.reply_times import Replies
from media_plane.call.speech import CallerSpeech
from media_plane.call.stall import Cause, Climb, Outcome, Over, Rung, StallCounts, StallRules
from media_plane.call.turn import Phase, Turns

CROSSING_NS = 300_000_000  # what comes so soon after a nudge was on its way: an answer to it takes 750 ms
_NEVER = 1 << 62
_OFTEN_NS = 200_000_000
_SPEECH_NS = 250_000_000  # shorter sounds of the caller, of which the model says nothing, are no words
_UNHEARD_NS = 1_000_000_000  # more, for an answer to what the model has not said to have heard
_EMPTY_NS = 400_000_000  # after a turn in which nothing was said
_PHANTOM_NS = 800_000_000  # for the caller's voice to be heard here, too
_TRAILS_NS = 1_000_000_000  # turnComplete follows `interrupted` within
_FOLDED_NS = 1_000_000_000  # a function's answer is not used faster than that
_REISSUE_NS = 5_000_000_000  # a call that the caller talked over comes again within 3.6 s (field reports)
_KEPT_NS = 7_000_000_000  # of the caller's audio, which is enough for the end of what was said to be heard
_AGAIN_NS = 3_000_000_000  # from the end of the ladder to the next attempt

Step = Climb | Over


class StallWatch:
    """`look_ns`: when to call `look`, at the latest. Nothing is watched before `begin`."""

    __slots__ = (
        *("_answered_ns", "_ask_ns", "_busy", "_busy_ns", "_cause", "_counts", "_doubtful", "_empty"),
        *("_false", "_heard_ns", "_index", "_limit_ns", "_news", "_number", "_open", "_playout", "_replies"),
        *("_rules", "_rung_ns", "_sent", "_since_ns", "_speech", "_stopped_ns", "_tool_ns", "_trails_ns"),
        *("_turns", "_used", "look_ns"),
    )

    def __init__(
        self,
        rules: StallRules,
        replies: Replies,
        counts: StallCounts,
        *,
        speech: CallerSpeech,
        turns: Turns,
        playout: Playout,
    ) -> None:
        self.look_ns = _NEVER
        self._rules = rules
        self._replies = replies
        self._counts = counts
        self._speech = speech
        self._turns = turns
        self._playout = playout
        self._sent = 0  # samples, as of the last look
        self._number = 0  # of the newest turn seen
        self._answered_ns = 0  # what the caller said until then has been answered
        self._heard_ns = 0  # when the model last showed that it hears the caller
        self._tool_ns = 0  # when it last called a function
        self._trails_ns = 0  # a turnComplete until then belongs to a turn that was interrupted
        self._cause: Cause | None = None  # None: nothing is due
        self._since_ns = 0
        self._limit_ns = 0  # when the next rung is to be taken
        self._stopped_ns = 0  # the caller's last voice by then
        self._doubtful = False  # nothing shows that the model heard the caller
        self._empty = False  # it has said that its turn is complete
        self._busy = 0  # number of the turn that was open when a function answered
        self._busy_ns = 0  # until when what comes in it can't be what the function brought
        self._index = -1  # of the rung taken last; -1: none
        self._open: tuple[Cause, Rung] | None = None  # the rung whose outcome is not known
        self._rung_ns = 0
        self._false = False  # it was taken too early
        self._ask_ns = 0  # when to ask in another session; 0: not
        self._used: Counter[Rung] = Counter()
        self._news: list[Step] = []  # to be told by the next look

    # -- what happens --

    def begin(self, now_ns: int, *, greeting: bool) -> None:
        """The agent may speak now, and `greeting`: is to."""
        self.look_ns = now_ns
        if greeting and self._playout.sent == 0:
            self._due(Cause.GREETING, now_ns, now_ns + self._asked_wait())

    def caller_text(self, now_ns: int) -> None:
        """The model transcribed words of the caller's."""
        self._heard_ns = now_ns
        empty = self._empty and self._doubtful
        self._no_doubt()
        if empty:
            self._is_empty(now_ns)

    def interrupted(self, now_ns: int, began_ns: int) -> None:
        """The model says that it is. `began_ns`: when the turn began that was cut off; 0: none was."""
        self._catch_up(now_ns)
        self._trails_ns = now_ns + _TRAILS_NS
        speech = self._speech
        if self._crossing(now_ns) and not speech.speaking:
            if self._cause is not Cause.BROKE_OFF:  # that one was cut off because it had stopped
                self._too_early()
            return
        self._heard_ns = now_ns
        since_ns = began_ns or (self._since_ns if self._cause is not None else 0)
        if not since_ns or speech.speaking or speech.stopped_ns > since_ns:
            self._no_doubt()
        elif self._index < 0:
            since_ns = self._since_ns if self._cause is not None else now_ns
            self._due(Cause.PHANTOM, since_ns, now_ns + _PHANTOM_NS)

    def turn_complete(self, now_ns: int, *, spoke: bool) -> None:
        """turnComplete; `spoke`: of a turn with audio."""
        self._catch_up(now_ns)
        if now_ns < self._trails_ns:
            self._trails_ns = 0
            return
        if spoke or self._speech.speaking or self._crossing(now_ns):
            return
        if self._cause is None:
            self._judge(now_ns)
        if self._cause is None or self._rules.more_turns or self._ask_ns:
            return
        self._empty = True
        if self._doubtful:
            return
        if self._rules.may_stay_silent and self._cause in (Cause.NO_REPLY, Cause.EMPTY_TURN, Cause.TOOL):
            self._counts.declined += self._open is None
            self._settle(Outcome.DECLINED)
            self._answered_ns, self._cause, self._index = now_ns, None, -1
            return
        self._is_empty(now_ns)

    def tool_called(self, now_ns: int) -> None:
        """The model calls a function; what becomes of that is not its matter until `tool_answered`."""
        self._catch_up(now_ns)
        self._tool_ns = self._answered_ns = now_ns
        self._recovered(now_ns)

    def tool_answered(self, now_ns: int) -> None:
        """A function has answered the model, which is to make something of it."""
        self._catch_up(now_ns)
        self._answered_ns = now_ns
        if self._index >= 0:
            return
        turn, quiet_ns = self._turns.current, max(self._playout.end_ns, now_ns)
        self._busy = turn.number if turn is not None and turn.phase is not Phase.COMPLETE else 0
        self._busy_ns = now_ns + _FOLDED_NS
        wait_ns = self._asked_wait()
        if self._speech.stopped_ns > self._tool_ns:
            wait_ns = max(wait_ns, _REISSUE_NS)
        self._due(Cause.TOOL, quiet_ns, quiet_ns + wait_ns)

    def crossed(self) -> None:
        """Audio came that a nudge has cut off."""
        self._too_early()

    @property
    def climbing(self) -> bool:
        """A rung has been taken, and nothing has come of it yet."""
        return self._cause is not None and self._index >= 0

    def renewed(self, now_ns: int) -> None:
        """Another session has taken the call on. It hears what the caller said and nobody has answered, or is
        asked for the greeting."""
        if self._cause is None:
            return
        if self.climbing:
            # What the caller said is said again, as long as it is kept; nobody has to be asked for an answer.
            asks = self._cause in (Cause.PHANTOM, Cause.BROKE_OFF)
            asks = asks or now_ns - self._speech.stopped_ns > _KEPT_NS
            asks = asks and self._cause is not Cause.GREETING and Rung.NUDGE in self._rules.rungs
            self._ask_ns = now_ns if asks else 0
            self._limit_ns = now_ns + (self._asked_wait() if asks else self._spoken_wait())
            self.look_ns = now_ns
        else:
            self._limit_ns = max(self._limit_ns, now_ns + self._spoken_wait())

    def own_audio(self) -> None:
        """What was sent since the last look is not the model's."""
        self._sent = self._playout.sent
        turn = self._turns.current
        if turn is not None:
            self._number = turn.number
        self._limit_ns = max(self._limit_ns, self._playout.end_ns + self._asked_wait())

    def refused(self, now_ns: int) -> None:
        """The rung that was just asked for can't be taken."""
        self._settle(Outcome.IMPOSSIBLE)
        self.look_ns = self._limit_ns = now_ns

    def end(self) -> None:
        """The call is over."""
        self.look_ns = _NEVER
        self._settle(Outcome.IN_VAIN)

    # -- time --

    def look(self, now_ns: int, *, held: bool = False) -> list[Step]:
        """What is to be done, in order. `held`: the model is not expected to speak now."""
        self._catch_up(now_ns)
        steps, self._news = self._news, []
        self.look_ns = now_ns + _OFTEN_NS
        if held:
            if self._cause is not None:
                self._limit_ns = max(self._limit_ns, now_ns + self._spoken_wait())
            return steps
        if self._cause is Cause.BROKE_OFF and self._index < 0 and not self._turns.generating:
            self._cause = None  # the answer was whole, and is told to be so late
        if self._listens_on(now_ns):
            return steps
        if self._cause is None:
            self._judge(now_ns)
        if self._cause is not None:
            steps += self._climb(now_ns, self._cause)
            self.look_ns = min(self.look_ns, self._limit_ns, self._ask_ns or _NEVER)
        return steps

    def _listens_on(self, now_ns: int) -> bool:
        """The caller speaks. Who has spoken again begins to wait again."""
        speech = self._speech
        if speech.speaking:
            return True
        stopped_ns = speech.stopped_ns
        if self._cause is None or stopped_ns <= self._stopped_ns:
            return False
        self._stopped_ns = stopped_ns
        if self._index >= 0:
            self._limit_ns = max(self._limit_ns, stopped_ns + self._spoken_wait())
            return False
        before, self._cause = self._cause, None
        self._judge(now_ns)
        if self._cause is None:  # a sound that changes nothing
            self._cause = before
            self._limit_ns = max(self._limit_ns, stopped_ns + self._asked_wait())
        return False

    def _judge(self, now_ns: int) -> None:
        """Whether an answer is due."""
        speech, turn, quiet_ns = self._speech, self._turns.current, self._playout.end_ns
        stopped_ns = speech.stopped_ns
        if turn is not None and turn.phase is Phase.SPEAKING and turn.began_ns and now_ns > quiet_ns:
            self._due(Cause.BROKE_OFF, quiet_ns, max(quiet_ns, stopped_ns) + self._rules.gap_ns)
            return
        if stopped_ns <= self._answered_ns:
            return
        started_ns = speech.started_ns
        heard = self._heard_ns >= started_ns
        # Who speaks while the agent does, and is not heard by the model, says "mm-hm", or is the agent's
        # echo.
        if not heard and stopped_ns - max(started_ns, quiet_ns) < _SPEECH_NS:
            return
        since_ns = max(stopped_ns, quiet_ns)
        doubt_ns = 0 if heard else _UNHEARD_NS
        self._due(Cause.NO_REPLY, since_ns, since_ns + self._spoken_wait() + doubt_ns)
        self._doubtful = not heard

    def _climb(self, now_ns: int, cause: Cause) -> list[Step]:
        if self._ask_ns and now_ns >= self._ask_ns:
            self._ask_ns = 0
            self._rung_ns = now_ns
            return [Climb(self._rules.rungs[self._index], cause, self._silent_ms(now_ns), again=True)]
        if now_ns < self._limit_ns:
            return []
        first = self._index < 0
        index = self._next()
        self._settle(Outcome.IN_VAIN)
        if index is None:
            self._rest(now_ns)
            return []
        rung = self._rules.rungs[index]
        self._index, self._open, self._rung_ns = index, (cause, rung), now_ns
        self._false, self._ask_ns = False, 0
        self._used[rung] += 1
        if first:
            self._counts.stalls[cause] += 1
        renews = rung in (Rung.RESUME, Rung.FRESH)
        self._limit_ns = now_ns + (self._rules.renewal_ns if renews else self._asked_wait())
        if rung is Rung.END:
            self._limit_ns = _NEVER
        return [Climb(rung, cause, self._silent_ms(now_ns))]

    def _next(self) -> int | None:
        """The index of the rung above that can still be taken."""
        rungs, budget = self._rules.rungs, self._rules.budget
        above = range(self._index + 1, len(rungs))
        return next((index for index in above if self._used[rungs[index]] < budget[rungs[index]]), None)

    def _rest(self, now_ns: int) -> None:
        """The ladder is at its end: try again after a while, but not with a nudge."""
        self._index = 0 if self._rules.rungs[:1] == (Rung.NUDGE,) else -1
        self._limit_ns = _NEVER if self._next() is None else now_ns + _AGAIN_NS

    # -- inside --

    def _catch_up(self, now_ns: int) -> None:
        """See whether the agent has spoken since the last look."""
        before, self._sent = self._sent, self._playout.sent
        if self._sent > before:  # less, when some was taken back
            self._agent_spoke(now_ns, first=before == 0)

    def _agent_spoke(self, now_ns: int, *, first: bool) -> None:
        turn = self._turns.current
        number, began_ns = (turn.number, turn.began_ns) if turn is not None else (self._number, now_ns)
        begins, self._number = number != self._number, number
        self._answered_ns = max(self._answered_ns, began_ns)
        if self._cause is Cause.TOOL and number == self._busy and now_ns < self._busy_ns:
            waited_ns = self._limit_ns - self._since_ns  # still what it said before the function answered
            self._since_ns = max(self._since_ns, self._playout.end_ns)
            self._limit_ns = self._since_ns + waited_ns
            return
        if begins and turn is not None and self._index < 0:
            stopped_ns = turn.caller_stopped_ns
            if self._cause is Cause.TOOL:
                self._replies.asked.observe(max(began_ns - self._since_ns, 0))
            elif stopped_ns > self._tool_ns and began_ns and not first:  # the first may be a greeting
                self._replies.spoken.observe(began_ns - stopped_ns)
        self._recovered(began_ns)

    def _recovered(self, began_ns: int) -> None:
        """What was due has come; it began at `began_ns`."""
        cause, self._cause = self._cause, None
        open_rung, index, self._index = self._open, self._index, -1
        if cause is None or index < 0:
            return
        silent_ms = max(began_ns - self._since_ns, 0) // 1_000_000
        self._counts.silent_ms += silent_ms
        if open_rung is None:  # of itself, while we rested
            self._news.append(Over(self._rules.rungs[index], cause, Outcome.IN_VAIN, silent_ms))
            return
        if open_rung[1] is Rung.NUDGE:
            if began_ns < self._rung_ns + CROSSING_NS:
                self._too_early()
            elif not self._false:
                self._replies.asked.observe(began_ns - self._rung_ns)
        outcome = Outcome.FALSE_ALARM if self._false else Outcome.RECOVERED
        self._settle(outcome)
        self._news.append(Over(open_rung[1], cause, outcome, silent_ms))

    def _crossing(self, now_ns: int) -> bool:
        """Whether what comes now may have been on its way when the newest nudge was sent."""
        return self._open is not None and now_ns < self._rung_ns + CROSSING_NS

    def _too_early(self) -> None:
        if self._false or self._open is None or self._open[1] is not Rung.NUDGE:
            return
        self._false = True
        times = {Cause.NO_REPLY: self._replies.spoken, Cause.TOOL: self._replies.asked}.get(self._open[0])
        if times is not None:
            times.was_longer(self._rung_ns - self._since_ns)

    def _due(self, cause: Cause, since_ns: int, limit_ns: int) -> None:
        self._cause, self._since_ns, self._limit_ns = cause, since_ns, limit_ns
        self._stopped_ns = self._speech.stopped_ns
        self._index, self._ask_ns, self._doubtful, self._empty = -1, 0, False, False

    def _is_empty(self, now_ns: int) -> None:
        if self._cause is Cause.NO_REPLY and self._index < 0:
            self._cause = Cause.EMPTY_TURN
        self._limit_ns = min(self._limit_ns, now_ns + _EMPTY_NS)

    def _no_doubt(self) -> None:
        if self._doubtful and self._index < 0:
            self._limit_ns -= _UNHEARD_NS
        self._doubtful = False

    def _settle(self, outcome: Outcome) -> None:
        """The outcome of the rung taken last is known."""
        if self._open is not None:
            if self._false:
                outcome = Outcome.FALSE_ALARM
            self._counts.rungs[*self._open, outcome] += 1
            self._open = None

    def _spoken_wait(self) -> int:
        return self._within(self._replies.spoken.normal_ns)

    def _asked_wait(self) -> int:
        return self._within(self._replies.asked.normal_ns)

    def _within(self, wait_ns: int) -> int:
        return min(max(wait_ns, self._rules.wait_min_ns), self._rules.wait_max_ns)

    def _silent_ms(self, now_ns: int) -> int:
        return max(now_ns - self._since_ns, 0) // 1_000_000
