"""A session whose model falls silent: what the model is sent, what the caller hears, what is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from media_plane.call.stall import LADDER, Cause, Outcome, Rung, StallBook, StallRules
from media_plane.call.tools import Tool
from media_plane.dsp.g711 import compress
from media_plane.stall_desk import SpokenLine, Stalls
from media_plane.wire.events import EndReason, Interrupted, ModelStalled, Speaker, TranscriptSegment
from media_plane.wire.gemini_notes import Telling
from media_plane.wire.gemini_nudge import Nudging
from tests.support.scene import MS, Scene, sessions_left_by, untie

LOUD = compress((6000 * np.sin(np.arange(160) * 0.3)).astype(np.int16)).tobytes()
HUSH = b"\xff" * 160


class Lines:
    """As of stall_desk. `wanted`: with or without a goodbye, each time they were asked for."""

    def __init__(self) -> None:
        self.wanted: list[bool] = []

    def want(self, *, goodbye: bool) -> None:
        self.wanted.append(goodbye)

    def hold(self) -> SpokenLine | None:
        return SpokenLine("One moment, please.", LOUD * 100)

    def goodbye(self) -> SpokenLine | None:
        return SpokenLine("I am sorry. Goodbye.", LOUD * 50)


class Call(Scene):
    """A live call whose model is known to answer within a second."""

    def __init__(
        self,
        *,
        rungs: tuple[Rung, ...] = LADDER,
        how: Nudging = Nudging.CLIENT_CONTENT,
        lines: bool = False,
        greeting: str = "",
        **config: Any,
    ) -> None:
        self.book = StallBook()
        replies = self.book.times.of("gemini-test", 0)
        for _ in range(40):
            replies.spoken.observe(1000 * MS)
            replies.asked.observe(1000 * MS)
        self.lines = Lines() if lines else None
        stalls = Stalls(StallRules(rungs=rungs), self.book, how, "gemini-test", 0, self.lines)
        super().__init__(greeting, stalls=stalls, telling=Telling.CLIENT_CONTENT, **config)

    def line(self, ms: int, audio: bytes = HUSH) -> None:
        """The caller's line for so long, and the session's ticks."""
        for number in range(ms // 20):
            self.at_ms += 20
            self.media(audio)
            if number % 5 == 4:
                self.session.tick(self.now)

    def asks(self, text: str = " where are you?") -> None:
        """The caller speaks, and is transcribed."""
        self.line(800, LOUD)
        self.line(400)
        self.content(inputTranscription={"text": text})

    def answers(self, ms: int = 600, text: str = " At the harbour.") -> None:
        """The model does, and is heard out."""
        self.speak(ms, outputTranscription={"text": text})
        self.content(generationComplete=True)
        self.line(ms)
        self.content(turnComplete=True)
        self.line(500)

    @property
    def nudges(self) -> list[str]:
        """The texts that ask for an answer."""
        contents = [message["clientContent"] for message in self.model.sent if "clientContent" in message]
        return [each["turns"][0]["parts"][0]["text"] for each in contents if each["turnComplete"]]

    @property
    def stalled(self) -> list[tuple[str, str, str]]:
        return [(each.cause, each.rung, each.outcome) for each in self.of(ModelStalled)]

    @property
    def agent_said(self) -> list[str]:
        return [each.text for each in self.of(TranscriptSegment) if each.speaker is Speaker.AGENT]


def test_a_caller_who_gets_no_answer_is_asked_about_once_and_the_model_answers() -> None:
    call = Call()
    call.asks()
    call.line(2200)
    (text,) = call.nudges
    assert "Answer the caller's last words now" in text
    call.answers()
    call.line(3000)
    assert call.stalled == [("no_reply", "nudge", ""), ("no_reply", "nudge", "recovered")]
    assert call.agent_said == ["At the harbour."]
    assert call.book.counts.rungs == {(Cause.NO_REPLY, Rung.NUDGE, Outcome.RECOVERED): 1}
    assert len(call.nudges) == 1


def test_a_model_that_answers_is_left_alone() -> None:
    call = Call()
    for _ in range(3):
        call.asks()
        call.line(300)
        call.answers(3000)
    call.line(10_000)
    assert not call.nudges
    assert not call.stalled


def test_a_call_without_a_plan_for_it_does_nothing() -> None:
    call = Scene()
    call.media(LOUD)
    call.tick(60_000)
    assert all("realtimeInput" in message for message in call.model.sent)


def test_the_beginning_of_an_answer_that_the_nudge_cuts_off_is_not_heard() -> None:
    call = Call()
    call.asks()
    call.line(1700)
    assert len(call.nudges) == 1
    call.speak(200, outputTranscription={"text": " At the"})  # it was on its way
    call.content(interrupted=True)
    call.content(turnComplete=True)
    assert call.played == b""
    call.line(800)
    call.answers()
    assert call.stalled[-1] == ("no_reply", "nudge", "false_alarm")
    assert call.agent_said == ["", "At the harbour."]
    cut = [each for each in call.of(TranscriptSegment) if not each.text]
    assert [each.unheard_text for each in cut] == ["At the"]
    assert not call.of(Interrupted)
    assert all(
        message["clientContent"]["turnComplete"] for message in call.model.sent if "clientContent" in message
    )


def test_a_model_that_takes_no_content_is_asked_by_text_and_what_it_was_saying_is_heard() -> None:
    call = Call(how=Nudging.REALTIME_TEXT)
    call.asks()
    call.line(2200)
    texts = [m["realtimeInput"]["text"] for m in call.model.sent if "text" in m.get("realtimeInput", {})]
    assert len(texts) == 1
    call.speak(200)
    assert len(call.played) == 8 * 200


def test_a_turn_in_which_nothing_is_said_is_answered_by_a_nudge() -> None:
    call = Call()
    call.asks()
    call.content(turnComplete=True)
    call.line(600)
    assert call.stalled == [("empty_turn", "nudge", "")]


def test_an_answer_that_nobody_interrupted_goes_on_where_it_was_heard_last() -> None:
    call = Call()
    call.asks()
    call.line(300)
    for text in (" We are open", " from nine", " until six."):
        call.speak(1000, outputTranscription={"text": text})
    call.line(2300)
    call.content(interrupted=True)
    call.content(turnComplete=True)
    call.line(1000)
    assert call.stalled == [("phantom_interrupted", "nudge", "")]
    (text,) = call.nudges
    assert 'heard it up to "We are open' in text
    assert "until six." in text
    call.line(600)
    call.answers(1000, " until six.")
    assert call.agent_said[-1] == "until six."
    assert call.stalled[-1] == ("phantom_interrupted", "nudge", "recovered")


def test_who_really_interrupts_is_waited_for() -> None:
    call = Call()
    call.speak(5000, outputTranscription={"text": " We are open from nine."})
    call.line(1000)
    call.line(500, LOUD)
    call.content(interrupted=True)
    call.content(turnComplete=True)
    call.line(1500, LOUD)
    call.line(600)
    assert not call.stalled


def test_an_answer_that_breaks_off_is_cut_there_and_gone_on_with() -> None:
    call = Call()
    call.asks()
    call.line(300)
    call.speak(1000, outputTranscription={"text": " We are open"})
    call.content(outputTranscription={"text": " from nine"})
    call.line(1000 + 1700)
    assert call.stalled == [("broke_off", "nudge", "")]
    (text,) = call.nudges
    assert "your last answer broke off" in text
    call.content(interrupted=True)
    call.content(turnComplete=True)
    call.line(800)
    call.answers(1000, " from nine.")
    assert call.stalled[-1] == ("broke_off", "nudge", "recovered")
    first, second = [each for each in call.of(TranscriptSegment) if each.speaker is Speaker.AGENT]
    assert second.text == "from nine."
    assert "from nine" in first.unheard_text
    assert not call.of(Interrupted)


TOOL = Tool("look_up", blocking=True)


def test_a_function_whose_answer_is_not_used_is_brought_to_mind() -> None:
    call = Call(tools=(TOOL,))
    call.asks()
    call.gemini({"toolCall": {"functionCalls": [{"id": "f1", "name": "look_up", "args": {}}]}})
    call.line(5000)
    assert not call.stalled
    call.session.answer_tool("f1", {"output": "room 12"}, call.now)
    call.line(2300)
    assert call.stalled == [("tool_unused", "nudge", "")]
    assert "a function you called has answered" in call.nudges[0]


def test_a_silent_answer_of_a_function_asks_for_no_words() -> None:
    call = Call(tools=(Tool("look_up", scheduling="SILENT"),))
    call.asks()
    call.gemini({"toolCall": {"functionCalls": [{"id": "f1", "name": "look_up", "args": {}}]}})
    call.line(300)
    call.answers()
    call.session.answer_tool("f1", {"output": "noted"}, call.now)
    call.line(10_000)
    assert not call.stalled


def test_a_greeting_that_does_not_come_is_asked_for_again() -> None:
    call = Call(greeting="Good morning")
    call.line(2200)
    assert call.stalled == [("no_greeting", "nudge", "")]
    assert 'Say exactly: "Good morning"' in call.nudges[-1]


def test_lines_are_asked_for_when_a_call_stalls_and_not_before() -> None:
    call = Call(lines=True)
    assert call.lines is not None
    call.asks()
    call.line(300)
    call.answers()
    call.line(3000)
    assert call.lines.wanted == []
    call.asks()
    call.line(2200)
    assert call.lines.wanted == [False]
    ends = Call(lines=True, rungs=(Rung.NUDGE, Rung.END))
    assert ends.lines is not None
    ends.asks()
    ends.line(2200)
    assert ends.lines.wanted == [True]


def test_above_the_nudge_the_caller_is_asked_to_wait_in_words_that_the_transcript_keeps() -> None:
    call = Call(lines=True)
    call.asks()
    call.line(5000)
    assert [rung for _, rung, _ in call.stalled] == ["nudge", "resume", "fresh", "hold"]
    assert call.book.counts.rungs[Cause.NO_REPLY, Rung.RESUME, Outcome.IMPOSSIBLE] == 1
    assert call.played == LOUD * 100
    call.answers()
    call.line(2000)
    assert call.agent_said == ["One moment, please.", "At the harbour."]
    assert call.stalled[-1] == ("no_reply", "hold", "recovered")


@pytest.mark.parametrize("lines", [True, False])
def test_a_call_that_nothing_helps_is_ended_after_a_goodbye(lines: bool) -> None:
    call = Call(lines=lines, rungs=(Rung.NUDGE, Rung.END))
    call.asks()
    call.line(4200)
    assert call.session.end_reason is (None if lines else EndReason.MODEL_FAILED)
    call.line(1500)
    assert call.session.end_reason is EndReason.MODEL_FAILED
    assert call.played == (LOUD * 50 if lines else b"")
    assert call.agent_said == (["I am sorry. Goodbye."] if lines else [])
    assert call.caller.closed is not None


def test_who_hangs_up_in_a_stall_leaves_a_rung_in_vain() -> None:
    call = Call()
    call.asks()
    call.line(2200)
    call.session.end(EndReason.STOP, "", call.now)
    assert call.book.counts.rungs == {(Cause.NO_REPLY, Rung.NUDGE, Outcome.IN_VAIN): 1}


def test_a_call_that_stalled_is_freed_without_the_garbage_collector() -> None:
    def live() -> None:
        call = Call(tools=(TOOL,), lines=True)
        call.asks()
        call.line(2200)
        assert call.nudges
        call.session.end(EndReason.STOP, "", call.now)
        untie(call.session)
        call.ended.clear()

    assert sessions_left_by(live) == 0
