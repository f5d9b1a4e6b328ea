"""Function calls in virtual time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.gemini_sim import Played, steady, words_of


def session(behavior: str | None = None, cancellation: str = "silent", **tool: Any) -> Played:
    declaration = {"name": "lookup", "description": "d"} | ({"behavior": behavior} if behavior else {})
    step = {
        "heard": "look it up",
        "reply": "unused",
        "hearing": 100,
        "tool": {
            "function": "lookup",
            "args": {"q": "x"},
            "filler": "One moment.",
            "then": "It is {output}.",
        },
    }
    played = Played(steady(script=[step], cancellation=cancellation))
    played.open(outputAudioTranscription={}, tools=[{"functionDeclarations": [declaration]}])
    return played


def ask(played: Played) -> None:
    played.speak(500)
    played.hush(800)
    played.run(320)


def calls(played: Played) -> list[dict[str, Any]]:
    return [frame["toolCall"]["functionCalls"][0] for frame in played.frames if "toolCall" in frame]


def answer(number: str, **fields: Any) -> dict[str, Any]:
    response = {"id": number, "name": "lookup", "response": {"output": "room twelve"}, **fields}
    return {"toolResponse": {"functionResponses": [response]}}


def test_a_blocking_call_keeps_the_model_mute_until_it_is_answered() -> None:
    played = session("BLOCKING")
    ask(played)
    (call,) = calls(played)
    assert (call["name"], call["args"]) == ("lookup", {"q": "x"})
    played.run(10_000)
    assert played.times("modelTurn") == []
    answered_ms = played.at_ms
    played.send(answer(call["id"]))
    played.run(6000)
    assert played.times("modelTurn")[0] == answered_ms + 900
    assert words_of(played.frames, "outputTranscription") == " It is room twelve."
    assert len(played.times("turnComplete")) == 1


def test_on_3_8_a_call_does_not_block_unless_declared_so() -> None:
    played = session()
    ask(played)
    (call,) = calls(played)
    played.run(6000)
    assert words_of(played.frames, "outputTranscription") == " One moment."
    played.send(answer(call["id"]))
    played.run(6000)
    assert words_of(played.frames, "outputTranscription") == " One moment. It is room twelve."


def test_an_answer_when_idle_waits_for_the_end_of_what_is_said() -> None:
    played = session()
    ask(played)
    (call,) = calls(played)
    played.send(answer(call["id"]))
    played.run(8000)
    assert played.times("interrupted") == []
    assert len(played.times("turnComplete")) == 2


def test_an_answer_may_interrupt_what_is_said() -> None:
    played = session()
    ask(played)
    (call,) = calls(played)
    at_ms = played.at_ms
    played.send(answer(call["id"], scheduling="INTERRUPT"))
    played.run(8000)
    assert played.times("interrupted") == [at_ms]
    assert words_of(played.frames, "outputTranscription").endswith(" It is room twelve.")


def test_a_silent_answer_is_not_spoken_of() -> None:
    played = session("NON_BLOCKING")
    ask(played)
    (call,) = calls(played)
    played.run(5000)
    played.send(answer(call["id"], scheduling="SILENT"))
    played.run(5000)
    assert words_of(played.frames, "outputTranscription") == " One moment."


def test_an_interrupted_blocking_call_is_dropped_silently_and_comes_again_with_a_new_id() -> None:
    played = session("BLOCKING")
    ask(played)
    (first,) = calls(played)
    played.run(1000)
    played.speak(600)
    dropped_ms = played.noted("tool_call_dropped")[0].t_ns / 1e6
    assert played.times("toolCallCancellation") == []
    played.send(answer(first["id"]))
    played.hush(900)
    played.run(4000)
    assert played.times("modelTurn") == []  # the old id's answer was ignored
    _, second = calls(played)
    assert played.times("toolCall")[1] == dropped_ms + 3000
    assert second["id"] != first["id"]
    assert (second["name"], second["args"]) == (first["name"], first["args"])
    played.send(answer(second["id"]))
    played.run(3000)
    assert words_of(played.frames, "outputTranscription") == " It is room twelve."


def test_or_it_is_cancelled_by_message() -> None:
    played = session("BLOCKING", cancellation="message")
    ask(played)
    (first,) = calls(played)
    played.speak(600)
    (cancelled,) = [frame for frame in played.frames if "toolCallCancellation" in frame]
    assert cancelled == {"toolCallCancellation": {"ids": [first["id"]]}}
    played.run(5000)
    assert len(calls(played)) == 1


@pytest.mark.parametrize("number", ["never-issued", ""])
def test_an_answer_to_a_call_that_was_never_made_closes_with_1007(number: str) -> None:
    played = session()
    ask(played)
    played.send(answer(number))
    assert [close.code for close in played.closes] == [1007]


def test_handles_are_not_resumable_while_a_call_is_open() -> None:
    played = Played(steady(script=[{"heard": "look", "tool": {"function": "lookup"}}]))
    tools = [{"functionDeclarations": [{"name": "lookup", "behavior": "BLOCKING"}]}]
    played.open(sessionResumption={}, tools=tools)
    ask(played)
    played.run(500)
    assert played.frames[0] == {"sessionResumptionUpdate": {"resumable": False}}
    (call,) = calls(played)
    played.send(answer(call["id"]))
    played.run(6000)
    assert played.frames[-1]["sessionResumptionUpdate"]["resumable"] is True
