"""The stall ladder in virtual time: what is taken for a stall, when, and what is done about it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_plane.call.conversation import Conversation
from media_plane.call.playout import Playout
from media_plane.call.reply_times import Replies
from media_plane.call.stall import BUDGET, LADDER, Cause, Climb, Outcome, Over, Rung, StallCounts, StallRules
from media_plane.call.stall_watch import StallWatch, Step

MS = 1_000_000
FIRST_MS = 3500  # the wait while nothing is known
HANGOVER_MS = 300


@dataclass
class Speech:
    """As of CallerSpeech."""

    speaking: bool = False
    started_ns: int = 0
    stopped_ns: int = 0
    since_ns: int = 0

    def heard_out(self, until_ns: int) -> None:
        pass


class Line:
    """A call; time moves only in `run` and in what takes time."""

    def __init__(self, *, greeting: bool = False, **rules: Any) -> None:
        self.at_ms = 10_000
        self.speech = Speech()
        self.playout = Playout()
        self.conversation = Conversation(self.playout, self.speech)
        self.turns = self.conversation.turns
        self.counts = StallCounts()
        self.replies = Replies()
        self.rules = StallRules(**rules)
        self.watch = StallWatch(
            self.rules,
            self.replies,
            self.counts,
            speech=self.speech,
            turns=self.turns,
            playout=self.playout,
        )
        self.steps: list[tuple[int, Step]] = []
        self.held = False
        self._hang_ms = 0
        self.conversation.stream_started(self.now)
        self.watch.begin(self.now, greeting=greeting)

    @property
    def now(self) -> int:
        return self.at_ms * MS

    @property
    def climbs(self) -> list[Climb]:
        return [step for _, step in self.steps if isinstance(step, Climb)]

    @property
    def rungs(self) -> list[Rung]:
        return [step.rung for step in self.climbs if not step.again]

    @property
    def overs(self) -> list[Over]:
        return [step for _, step in self.steps if isinstance(step, Over)]

    def run(self, ms: int) -> None:
        """Time passes, in the ticks of a session."""
        end_ms = self.at_ms + ms
        while self.at_ms < end_ms:
            self.at_ms = min(self.at_ms + 100, end_ms)
            if self.speech.speaking and self.at_ms > self._hang_ms:
                self.speech.speaking = False
            deadline_ns = self.turns.deadline_ns
            if deadline_ns and self.now >= deadline_ns:
                self.conversation.finish(self.now)
            if self.now >= self.watch.look_ns:
                self.steps += [(self.at_ms, step) for step in self.watch.look(self.now, held=self.held)]

    def caller(self, ms: int = 1000, *, heard: bool = True) -> None:
        """The caller speaks, and has been silent long enough for that to be known."""
        self.speech.started_ns = self.now
        self.speech.speaking = True
        self._hang_ms = self.at_ms + ms + HANGOVER_MS
        for _ in range(0, ms, 100):
            self.speech.stopped_ns = min(self.now + 100 * MS, self._hang_ms * MS)
            self.run(100)
        self.speech.stopped_ns = self.now
        if heard:
            self.watch.caller_text(self.now)
        self.run(HANGOVER_MS + 100)

    def agent(self, ms: int = 1000, *, complete: bool = True) -> None:
        """The model sends audio, all at once; the caller hears it out, if it is complete."""
        self.playout.write(8 * ms, self.now)
        self.conversation.agent_audio(8 * ms, self.now)
        if complete:
            self.turns.generated()
            self.run(ms)
            self.complete()

    def complete(self) -> None:
        turn = self.turns.current
        self.watch.turn_complete(self.now, spoke=turn is not None and turn.phase.name != "COMPLETE")
        self.turns.complete(self.now, self.playout.end_ns)

    def interrupted(self) -> None:
        turn = self.conversation.interrupt(self.now)
        self.watch.interrupted(self.now, turn.began_ns if turn is not None and turn.cut else 0)
        self.playout.clear(self.now)

    def at_of(self, rung: Rung) -> int:
        """When this rung was first taken."""
        return next(at for at, step in self.steps if isinstance(step, Climb) and step.rung is rung)

    def taught(self, ms: int = 1000) -> Line:
        """With a model that is known to answer so fast."""
        for _ in range(40):
            self.replies.spoken.observe(ms * MS)
            self.replies.asked.observe(ms * MS)
        return self


def test_an_answer_in_time_is_no_stall() -> None:
    line = Line()
    for _ in range(5):
        line.caller()
        line.run(800)
        line.agent(2000)
        line.run(3000)
    assert not line.steps
    assert len(line.replies.spoken) == 4  # the first audio of a call may be a greeting


def test_a_caller_who_waits_for_an_answer_is_helped_rung_by_rung() -> None:
    line = Line(rungs=(*LADDER, Rung.END)).taught()
    line.caller()
    stopped_ms = line.speech.stopped_ns // MS
    line.run(2500)
    assert line.rungs == [Rung.NUDGE]
    assert 2000 <= line.at_of(Rung.NUDGE) - stopped_ms <= 2100
    line.run(2000)
    assert line.rungs == [Rung.NUDGE, Rung.RESUME]
    line.run(30_000)
    assert line.rungs == [Rung.NUDGE, Rung.RESUME, Rung.FRESH, Rung.HOLD, Rung.END]
    assert {step.cause for step in line.climbs} == {Cause.NO_REPLY}
    line.watch.end()
    assert sum(line.counts.rungs.values()) == 5
    assert {outcome for _, _, outcome in line.counts.rungs} == {Outcome.IN_VAIN}
    assert line.counts.stalls == {Cause.NO_REPLY: 1}


@pytest.mark.parametrize("last", LADDER)
def test_the_ladder_starts_anew_once_the_agent_has_spoken(last: Rung) -> None:
    line = Line().taught()
    for _ in range(2):
        line.steps.clear()
        line.caller()
        while last not in line.rungs:
            line.run(100)
        line.run(800)
        line.agent()
        line.run(2000)
        assert [over.rung for over in line.overs] == [last]
        assert line.rungs == list(LADDER[: LADDER.index(last) + 1])
    assert line.counts.rungs[Cause.NO_REPLY, last, Outcome.RECOVERED] == 2


def test_the_wait_follows_the_model_s_latest_answers() -> None:
    waits = {}
    for ms in (500, 2000, 60_000):
        line = Line().taught(ms)
        line.caller()
        line.run(20_000)
        waits[ms] = line.at_of(Rung.NUDGE) - line.speech.stopped_ns // MS
    assert 2000 <= waits[500] <= 2100  # the floor
    assert 2800 <= waits[2000] <= 2900  # 1.4 times
    assert 8000 <= waits[60_000] <= 8100  # the cap


def test_until_enough_is_known_of_a_model_its_answers_may_take_long() -> None:
    line = Line()
    line.caller()
    line.run(FIRST_MS - 700)
    assert not line.rungs
    line.run(500)
    assert line.rungs == [Rung.NUDGE]


def test_what_the_model_does_not_say_to_have_heard_is_waited_for_longer() -> None:
    line = Line().taught()
    line.caller(heard=False)
    line.run(2200)
    assert not line.rungs
    line.run(800)
    assert line.rungs == [Rung.NUDGE]


def test_a_transcript_that_comes_late_ends_the_doubt() -> None:
    line = Line().taught()
    line.caller(heard=False)
    line.run(1700)
    line.watch.caller_text(line.now)
    line.run(200)
    assert line.rungs == [Rung.NUDGE]


@pytest.mark.parametrize(("ms", "stalled"), [(100, False), (200, False), (400, True)])
def test_a_short_noise_asks_for_no_answer(ms: int, stalled: bool) -> None:
    line = Line().taught()
    line.caller(ms, heard=False)
    line.run(6000)
    assert bool(line.rungs) == stalled


def test_a_word_over_the_agent_that_the_model_passes_over_asks_for_no_answer() -> None:
    line = Line().taught()
    line.agent(3000, complete=False)
    line.run(1000)
    line.caller(500, heard=False)
    line.turns.generated()
    line.run(1100)
    line.complete()
    line.run(8000)
    assert not line.rungs


def test_who_interrupts_is_owed_an_answer() -> None:
    line = Line().taught()
    line.agent(5000, complete=False)
    line.run(1000)
    line.speech.started_ns, line.speech.speaking = line.now, True
    line.run(600)
    line.speech.stopped_ns = line.now
    line.interrupted()
    line.complete()
    line.speech.speaking = False
    line.run(2200)
    assert [step.cause for step in line.climbs] == [Cause.NO_REPLY]


def test_a_turn_in_which_nothing_is_said_is_found_at_once() -> None:
    line = Line().taught()
    line.caller()
    line.run(400)
    line.complete()
    done_ms = line.at_ms
    line.run(600)
    assert [step.cause for step in line.climbs] == [Cause.EMPTY_TURN]
    assert line.at_of(Rung.NUDGE) - done_ms <= 500


def test_a_turn_in_which_nothing_is_said_counts_once_it_is_known_that_the_caller_was_heard() -> None:
    line = Line().taught()
    line.caller(heard=False)
    line.run(200)
    line.complete()
    line.run(700)
    assert not line.rungs
    line.watch.caller_text(line.now)
    line.run(500)
    assert [step.cause for step in line.climbs] == [Cause.EMPTY_TURN]


def test_a_model_whose_turns_may_be_followed_by_more_is_given_its_time() -> None:
    line = Line(more_turns=True).taught()
    line.caller()
    line.run(400)
    line.complete()
    line.run(600)
    assert not line.rungs
    line.run(1000)
    assert [step.cause for step in line.climbs] == [Cause.NO_REPLY]


def test_an_agent_that_may_stay_silent_is_let_be() -> None:
    line = Line(may_stay_silent=True).taught()
    line.caller()
    line.run(400)
    line.complete()
    line.run(20_000)
    assert not line.rungs
    assert line.counts.declined == 1


def test_an_agent_that_may_stay_silent_is_asked_once_and_may_decline() -> None:
    line = Line(may_stay_silent=True).taught()
    line.caller()
    line.run(3000)
    assert line.rungs == [Rung.NUDGE]
    line.complete()
    line.run(20_000)
    assert line.rungs == [Rung.NUDGE]
    assert line.counts.rungs == {(Cause.NO_REPLY, Rung.NUDGE, Outcome.DECLINED): 1}


@pytest.mark.parametrize("run_ms", [30, 2000])
def test_an_interruption_by_nobody_is_found_out(run_ms: int) -> None:
    line = Line().taught()
    line.caller()
    line.run(600)
    line.agent(5000, complete=False)
    line.run(run_ms)
    line.interrupted()
    line.run(30)
    line.complete()
    line.run(500)
    assert not line.rungs
    line.run(500)
    assert [step.cause for step in line.climbs] == [Cause.PHANTOM]


def test_a_caller_who_is_heard_here_later_than_there_did_interrupt() -> None:
    line = Line().taught()
    line.agent(5000, complete=False)
    line.run(2000)
    line.interrupted()
    line.complete()
    line.run(300)
    line.caller(1500)
    line.run(500)
    line.agent()
    line.run(3000)
    assert not line.rungs


def test_an_awaited_answer_that_is_given_up_is_not_waited_for() -> None:
    line = Line().taught()
    line.caller()
    line.run(300)
    line.interrupted()
    line.run(1000)
    assert [step.cause for step in line.climbs] == [Cause.PHANTOM]


def test_audio_that_stops_within_an_answer_is_missed_once_the_caller_hears_nothing() -> None:
    line = Line().taught()
    line.agent(3000, complete=False)
    line.run(4400)
    assert not line.rungs
    line.run(300)
    assert [step.cause for step in line.climbs] == [Cause.BROKE_OFF]


def test_a_slow_answer_has_not_broken_off() -> None:
    line = Line().taught()
    for _ in range(10):
        line.agent(300, complete=False)
        line.run(1400)
    line.turns.generated()
    line.run(10_000)
    assert not line.rungs


def test_the_end_of_an_answer_may_be_told_late() -> None:
    line = Line().taught()
    line.agent(1000, complete=False)
    line.run(1900)
    line.complete()
    line.run(10_000)
    assert not line.rungs


def test_while_a_function_runs_the_model_owes_nothing() -> None:
    line = Line().taught()
    line.caller()
    line.run(500)
    line.watch.tool_called(line.now)
    line.held = True
    line.run(20_000)
    assert not line.rungs


def test_a_function_s_answer_of_which_nothing_comes_is_missed() -> None:
    line = Line().taught()
    line.caller()
    line.run(500)
    line.watch.tool_called(line.now)
    line.held = True
    line.run(3000)
    line.held = False
    line.watch.tool_answered(line.now)
    line.run(2200)
    assert [step.cause for step in line.climbs] == [Cause.TOOL]


def test_a_function_called_while_the_caller_spoke_may_come_again() -> None:
    line = Line().taught()
    line.caller()
    line.watch.tool_called(line.now)
    line.held = True
    line.caller()
    line.held = False
    line.watch.tool_answered(line.now)
    line.run(4500)
    assert not line.rungs
    line.watch.tool_called(line.now)
    line.held = True
    line.run(5000)
    assert not line.rungs


def test_words_said_before_a_function_answered_do_not_tell_what_it_brought() -> None:
    line = Line().taught()
    line.caller()
    line.run(500)
    line.agent(1500, complete=False)
    line.watch.tool_called(line.now)
    line.run(300)
    line.watch.tool_answered(line.now)
    line.agent(500, complete=False)  # the rest of "one moment, please"
    line.turns.generated()
    line.run(1800)
    line.complete()
    line.run(2400)
    assert [step.cause for step in line.climbs] == [Cause.TOOL]


@pytest.mark.parametrize("folded", [False, True])
def test_what_a_function_brought_is_told_in_a_turn_of_its_own_or_in_the_same(folded: bool) -> None:
    line = Line().taught()
    line.caller()
    line.run(500)
    line.agent(1500, complete=False)
    line.watch.tool_called(line.now)
    line.run(300)
    line.watch.tool_answered(line.now)
    if folded:
        line.run(1300)
    else:
        line.turns.generated()
        line.run(1200)
        line.complete()
        line.run(1000)
    line.agent(1500)
    line.run(5000)
    assert not line.rungs


def test_a_greeting_that_never_comes_is_asked_for_again() -> None:
    line = Line(greeting=True)
    line.run(4000)
    assert [step.cause for step in line.climbs] == [Cause.GREETING]
    line.run(900)
    line.agent()
    assert [over.outcome for over in line.overs] == [Outcome.RECOVERED]


@pytest.mark.parametrize("sign", ["interrupted", "audio"])
def test_an_answer_that_was_on_its_way_makes_the_nudge_a_false_alarm_and_the_wait_longer(sign: str) -> None:
    line = Line().taught()
    line.caller()
    line.run(1700)
    assert line.rungs == [Rung.NUDGE]
    before = line.replies.spoken.normal_ns
    line.run(100)
    line.interrupted() if sign == "interrupted" else line.watch.crossed()
    line.run(700)
    line.agent()
    line.run(5000)
    assert line.rungs == [Rung.NUDGE]
    assert [over.outcome for over in line.overs] == [Outcome.FALSE_ALARM]
    assert line.replies.spoken.normal_ns > before


def test_an_answer_cut_off_by_a_nudge_because_it_had_stopped_was_no_false_alarm() -> None:
    line = Line().taught()
    line.agent(1000, complete=False)
    line.run(2600)
    assert [step.cause for step in line.climbs] == [Cause.BROKE_OFF]
    line.conversation.interrupt(line.now)
    line.run(100)
    line.interrupted()
    line.complete()
    line.run(700)
    line.agent()
    assert [over.outcome for over in line.overs] == [Outcome.RECOVERED]


def test_no_rung_is_taken_while_the_caller_speaks() -> None:
    line = Line().taught()
    line.caller()
    line.run(2000)
    line.caller(6000)
    assert line.rungs == [Rung.NUDGE]
    line.run(2000)
    assert line.rungs == [Rung.NUDGE, Rung.RESUME]


@pytest.mark.parametrize("cause", [Cause.NO_REPLY, Cause.PHANTOM])
def test_a_session_that_is_there_is_asked_at_once_unless_it_hears_the_caller_again(cause: Cause) -> None:
    line = Line().taught()
    line.caller()
    if cause is Cause.PHANTOM:
        line.run(300)
        line.interrupted()
    while Rung.RESUME not in line.rungs:
        line.run(100)
    line.run(400)
    line.watch.renewed(line.now)
    line.run(300)
    asked = [step.rung for step in line.climbs if step.again]
    assert asked == ([Rung.RESUME] if cause is Cause.PHANTOM else [])
    line.run(1500)
    assert Rung.FRESH not in line.rungs
    line.run(300)
    assert line.rungs[-1] is Rung.FRESH
    assert {step.cause for step in line.climbs} == {cause}


def test_a_session_is_asked_when_what_the_caller_said_is_no_longer_kept() -> None:
    line = Line().taught()
    line.caller()
    while Rung.FRESH not in line.rungs:
        line.run(100)
    line.run(2000)
    line.watch.renewed(line.now)
    line.run(100)
    assert [step.rung for step in line.climbs if step.again] == [Rung.FRESH]


def test_a_session_that_another_reason_has_renewed_is_given_the_whole_wait() -> None:
    line = Line().taught()
    line.caller()
    line.run(1200)
    line.watch.renewed(line.now)
    line.run(1900)
    assert not line.rungs


def test_what_cannot_be_done_is_passed_over_at_once() -> None:
    line = Line().taught()
    line.caller()
    while Rung.RESUME not in line.rungs:
        line.run(100)
    line.watch.refused(line.now)
    line.run(100)
    assert line.rungs[-1] is Rung.FRESH
    assert line.counts.rungs[Cause.NO_REPLY, Rung.RESUME, Outcome.IMPOSSIBLE] == 1


def test_from_the_end_of_the_ladder_it_goes_on_above_the_nudge_until_the_call_s_budget_is_used() -> None:
    line = Line().taught()
    line.caller()
    line.run(400_000)
    assert line.rungs[:5] == [*LADDER, Rung.RESUME]
    assert line.rungs.count(Rung.NUDGE) == 1
    for rung in (Rung.RESUME, Rung.FRESH, Rung.HOLD):
        assert line.rungs.count(rung) == BUDGET[rung]


def test_a_line_of_our_own_is_no_answer() -> None:
    line = Line().taught()
    line.caller()
    while Rung.HOLD not in line.rungs:
        line.run(100)
    line.playout.write(8 * 2000, line.now)
    line.conversation.agent_audio(8 * 2000, line.now)
    line.turns.generated()
    line.watch.own_audio()
    line.run(1900)
    assert not line.overs
    line.run(1000)
    line.agent()
    assert [over.rung for over in line.overs] == [Rung.HOLD]


HEALTHY = st.lists(
    st.tuples(st.integers(3, 60), st.integers(3, 19), st.integers(1, 80), st.booleans(), st.integers(0, 40)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(HEALTHY)
def test_a_healthy_conversation_raises_no_alarm(turns: list[tuple[int, int, int, bool, int]]) -> None:
    line = Line().taught()
    for spoken, thought, said, tool, pause in turns:
        line.caller(100 * spoken)
        if tool:
            line.run(200)
            line.watch.tool_called(line.now)
            line.held = True
            line.run(1500)
            line.held = False
            line.watch.tool_answered(line.now)
            line.run(100 * thought)
        else:
            line.run(max(100 * thought - HANGOVER_MS - 100, 0))
        line.agent(100 * said)
        line.run(100 * pause)
    assert not line.steps


EVENT = st.one_of(
    st.tuples(st.just("run"), st.integers(1, 60)),
    st.tuples(st.just("caller"), st.integers(1, 20)),
    st.tuples(st.just("agent"), st.integers(1, 40)),
    st.tuples(st.just("part"), st.integers(1, 40)),
    st.tuples(st.sampled_from(["complete", "interrupted", "text", "tool", "answer"]), st.just(0)),
    st.tuples(st.sampled_from(["renewed", "crossed", "refused", "held"]), st.just(0)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(EVENT, max_size=60), st.booleans())
def test_whatever_happens_rungs_are_taken_in_order_within_the_budget_and_each_has_one_outcome(
    events: list[tuple[str, int]], greeting: bool
) -> None:
    line = Line(greeting=greeting, rungs=(*LADDER, Rung.END))
    for event, size in events:
        before = len(line.steps)
        match event:
            case "run":
                line.run(100 * size)
            case "caller":
                line.caller(100 * size, heard=size % 2 == 0)
            case "agent" | "part":
                line.agent(100 * size, complete=event == "agent")
            case "complete":
                line.complete()
            case "interrupted":
                line.interrupted()
            case "text":
                line.watch.caller_text(line.now)
            case "tool":
                line.watch.tool_called(line.now)
            case "answer":
                line.watch.tool_answered(line.now)
            case "renewed":
                line.watch.renewed(line.now)
            case "crossed":
                line.watch.crossed()
            case "refused" if line.climbs and not line.climbs[-1].again:
                line.watch.refused(line.now)
            case "held":
                line.held = not line.held
        if line.held:
            assert not [step for _, step in line.steps[before:] if isinstance(step, Climb)]
    line.watch.end()
    assert sum(line.counts.rungs.values()) == len(line.rungs)
    for rung in Rung:
        assert line.rungs.count(rung) <= BUDGET[rung]
    for (_, one), (_, next_one) in pairwise(line.steps):
        if isinstance(one, Climb) and isinstance(next_one, Climb):
            order = list(Rung)
            higher = order.index(next_one.rung) > order.index(one.rung)
            anew = next_one.cause is not one.cause or one.rung in (Rung.HOLD, Rung.END)
            assert higher or next_one.again or anew or next_one.rung is not Rung.NUDGE
