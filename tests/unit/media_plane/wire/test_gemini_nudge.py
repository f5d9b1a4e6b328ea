"""The text that has a silent model go on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from media_plane.call.stall import Cause
from media_plane.wire.gemini_nudge import Nudging, nudge, nudging


def message(cause: Cause, how: Nudging = Nudging.CLIENT_CONTENT, **about: Any) -> dict[str, Any]:
    found = nudge(cause, how, **about)
    assert found is not None
    read: dict[str, Any] = json.loads(found)
    return read


def text(cause: Cause, **about: Any) -> str:
    return str(message(cause, **about)["clientContent"]["turns"][0]["parts"][0]["text"])


@pytest.mark.parametrize(
    ("model", "how"),
    [
        ("gemini-3.8-live", Nudging.CLIENT_CONTENT),
        ("models/gemini-3.8-live-extended-thinking", Nudging.CLIENT_CONTENT),
        ("gemini-3.1-flash-live-preview", Nudging.REALTIME_TEXT),
        ("gemini-9-live", Nudging.NEVER),
    ],
)
def test_each_model_is_nudged_in_the_form_it_takes(model: str, how: Nudging) -> None:
    assert nudging(model) is how


@pytest.mark.parametrize("cause", list(Cause))
def test_content_asks_for_an_answer_and_realtime_text_says_the_same(cause: Cause) -> None:
    content = message(cause, greeting="Hello", heard="We are open")["clientContent"]
    assert content["turnComplete"] is True
    said = content["turns"][0]["parts"][0]["text"]
    assert message(cause, Nudging.REALTIME_TEXT, greeting="Hello", heard="We are open") == {
        "realtimeInput": {"text": said}
    }
    assert nudge(cause, Nudging.NEVER) is None


@pytest.mark.parametrize(
    "cause", [Cause.NO_REPLY, Cause.EMPTY_TURN, Cause.TOOL, Cause.PHANTOM, Cause.BROKE_OFF]
)
def test_nothing_is_to_be_said_twice(cause: Cause) -> None:
    assert "Repeat nothing" in text(cause, heard="We are open")


def test_an_answer_that_broke_off_is_gone_on_with_where_the_caller_stopped_hearing() -> None:
    said = text(Cause.BROKE_OFF, heard="We are open", unheard='from "nine" until six')
    assert 'up to "We are open"' in said
    assert 'Not heard was "from "nine" until six"' in said


def test_an_answer_of_which_nothing_was_heard_is_given_whole() -> None:
    assert "heard nothing of it" in text(Cause.PHANTOM, unheard="We are open")


def test_long_answers_are_quoted_in_part() -> None:
    words = " ".join(f"word{number}" for number in range(400))
    said = text(Cause.PHANTOM, heard=words, unheard=words)
    assert len(said) < 1000
    assert "word399" in said
    assert '"word0 word1' in said


def test_who_may_stay_silent_is_told_so() -> None:
    assert "stay silent" not in text(Cause.NO_REPLY)
    assert "stay silent" in text(Cause.NO_REPLY, may_stay_silent=True)


def test_a_greeting_is_asked_for_word_by_word() -> None:
    assert 'Say exactly: "Good morning"' in text(Cause.GREETING, greeting="Good morning")


def test_a_session_that_may_not_have_heard_the_caller_is_told_the_last_words() -> None:
    said = text(Cause.NO_REPLY, caller=" when are you open?")
    assert said.endswith('The caller\'s last words were " when are you open?".]')
