"""What a model is told of an answer that was cut off, and in which form."""

from __future__ import annotations

import json

import pytest

from media_plane.wire.gemini_notes import Telling, heard_note, telling, tells_heard
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings


def words(heard: str, unheard: str, heard_ms: int = 3000) -> str:
    note = heard_note(heard, unheard, heard_ms, Telling.CLIENT_CONTENT)
    assert note is not None
    (turn,) = json.loads(note)["clientContent"]["turns"]
    (part,) = turn["parts"]
    text: str = part["text"]
    return text


def test_a_note_is_a_turn_that_asks_for_no_answer() -> None:
    note = heard_note("We are open", 'until "six".', 1500, Telling.CLIENT_CONTENT)
    assert note is not None
    content = json.loads(note)["clientContent"]
    assert content["turnComplete"] is False
    assert [turn["role"] for turn in content["turns"]] == ["user"]


def test_it_says_what_was_heard_and_what_was_not() -> None:
    told = words("We are open", 'until "six".')
    assert '"We are open"' in told
    assert 'until "six".' in told
    assert "nothing of it" in words("", "We are open", 300)
    assert "its first 3 s" in words("", "We are open", 3400)


def test_long_answers_are_quoted_around_the_cut() -> None:
    told = words("first " + "x " * 300 + "last", "next " + "y " * 300 + "end")
    assert "last" in told
    assert "next" in told
    assert "first" not in told
    assert len(told) < 800


def test_a_model_that_takes_no_note_is_told_nothing() -> None:
    assert heard_note("Yes", "of course", 900, Telling.NEVER) is None


@pytest.mark.parametrize(
    ("model", "how"),
    [
        ("gemini-3.8-live", Telling.CLIENT_CONTENT),
        ("models/gemini-2.5-flash-native-audio-preview-12-2025", Telling.CLIENT_CONTENT),
        ("gemini-3.1-flash-live-preview", Telling.NEVER),  # takes clientContent as history only
        ("gemini-9-live", Telling.NEVER),
    ],
)
def test_each_model_is_told_in_the_form_it_takes(model: str, how: Telling) -> None:
    assert telling(model) is how


@pytest.mark.parametrize(
    ("model", "how"),
    [
        ("gemini-3.8-live", Telling.ACTIVITY_TEXT),
        ("gemini-3.1-flash-live-preview", Telling.ACTIVITY_TEXT),  # though it takes no clientContent
        ("gemini-9-live", Telling.NEVER),
    ],
)
def test_in_turns_that_the_node_marks_it_is_told_within_one(model: str, how: Telling) -> None:
    assert telling(model, manual=True) is how


def test_such_a_note_is_text_of_the_caller_s_turn() -> None:
    note = heard_note("We are open", "until six.", 1500, Telling.ACTIVITY_TEXT)
    assert note is not None
    assert '"We are open"' in json.loads(note)["realtimeInput"]["text"]


def test_models_are_told_unless_the_call_s_settings_say_no() -> None:
    assert tells_heard(None)
    assert tells_heard(AgentSettings())
    assert tells_heard(AgentSettings(tell_heard=True))
    assert not tells_heard(AgentSettings(tell_heard=False))
