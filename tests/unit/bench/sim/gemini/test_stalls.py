"""A simulated model that falls silent, and what it makes of a note that asks it to go on."""

from __future__ import annotations

import random
from typing import Any

import pytest

from bench.sim.gemini.errors import ScenarioError
from bench.sim.gemini.scenario import LongTail, draw_ns, parse
from tests.support.gemini_sim import Played, steady, words_of

FOR_EVER = 3_600_000
STEP = {"heard": "when are you open", "reply": "We are open from nine until six every day", "hearing": 100}


def played(*faults: dict[str, Any], **step: Any) -> Played:
    found = Played(steady(script=[STEP | step]), faults=faults)
    found.open(inputAudioTranscription={}, outputAudioTranscription={})
    return found


def asked(it: Played) -> None:
    it.speak(600)
    it.hush(800)


def note(text: str, *, content: bool = True) -> dict[str, Any]:
    if not content:
        return {"realtimeInput": {"text": f"[{text}]"}}
    turns = [{"role": "user", "parts": [{"text": f"[{text}]"}]}]
    return {"clientContent": {"turns": turns, "turnComplete": True}}


def said(it: Played) -> str:
    return words_of(it.frames, "outputTranscription").strip()


@pytest.mark.parametrize("fault", ["no_reply", "empty_turn_complete"])
@pytest.mark.parametrize("content", [True, False])
def test_asked_again_it_answers_what_it_left_unanswered(fault: str, content: bool) -> None:
    it = played({"fault": fault})
    asked(it)
    it.run(5000)
    assert said(it) == ""
    it.send(note("answer the caller", content=content))
    it.run(5000)
    assert said(it) == STEP["reply"]


def test_an_answer_that_broke_off_is_gone_on_with_where_it_was_heard_last() -> None:
    it = played({"fault": "stall", "ms": FOR_EVER, "at": "reply", "after_ms": 200})
    asked(it)
    it.run(20_000)
    assert not it.times("generationComplete")
    it.sent.clear()
    it.send(note('it was heard up to "We are open from"'))
    it.run(5000)
    assert said(it) == "nine until six every day"
    assert it.times("interrupted")


def test_what_a_function_brought_may_be_left_unsaid() -> None:
    tool = {"function": "lookup", "args": {}, "filler": "One moment.", "then": "It is {output}."}
    it = Played(steady(script=[STEP | {"tool": tool}]), faults=[{"fault": "tool_ignored"}])
    declared = [{"functionDeclarations": [{"name": "lookup", "description": "d", "behavior": "BLOCKING"}]}]
    it.open(outputAudioTranscription={}, tools=declared)
    asked(it)
    it.run(1000)
    (call,) = [frame["toolCall"]["functionCalls"][0] for frame in it.frames if "toolCall" in frame]
    answer = {"id": call["id"], "name": "lookup", "response": {"output": "room twelve"}}
    it.send({"toolResponse": {"functionResponses": [answer]}})
    it.run(10_000)
    assert said(it) == ""
    it.send(note("the function has answered"))
    it.run(5000)
    assert said(it) == "It is room twelve."


def test_a_session_that_never_heard_the_caller_answers_what_the_note_says_was_asked() -> None:
    it = played()
    it.send(note('answer the caller, whose last words were "when are you open"'))
    it.run(5000)
    assert said(it) == STEP["reply"]


def test_with_nothing_left_open_it_says_that_it_is_there() -> None:
    it = Played().open(outputAudioTranscription={})
    it.send(note("go on"))
    it.run(5000)
    assert said(it) == "I am still here."


def test_a_delay_may_have_a_long_tail() -> None:
    delay = parse("name: x\ndelays: {think_speech: {median: 400, p99: 3000, most: 9000}}").delays.think_speech
    assert isinstance(delay, LongTail)
    rng = random.Random(1)
    drawn = sorted(draw_ns(delay, rng) / 1e6 for _ in range(20_000))
    assert drawn[10_000] == pytest.approx(400, rel=0.05)
    assert drawn[19_800] == pytest.approx(3000, rel=0.15)
    assert drawn[-1] <= 9000


@pytest.mark.parametrize("delay", ["{median: 0, p99: 1}", "{median: 5}", "{p99: 5, median: 1, mean: 2}"])
def test_a_tail_without_its_two_ends_is_none(delay: str) -> None:
    with pytest.raises(ScenarioError, match="think_speech"):
        parse(f"name: x\ndelays: {{think_speech: {delay}}}")
