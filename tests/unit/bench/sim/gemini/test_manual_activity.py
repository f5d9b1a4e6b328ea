"""Turns that the client marks, with the service's own detection off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.gemini_sim import Played, audio_frame, silence, steady, tone

OFF = {"realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}}
ALL = {
    "realtimeInputConfig": {
        "automaticActivityDetection": {"disabled": True},
        "turnCoverage": "TURN_INCLUDES_ALL_INPUT",
    }
}


def mark(played: Played, kind: str) -> None:
    played.send({"realtimeInput": {kind: {}}})


def test_speech_between_turns_is_not_heard_and_speech_within_one_is() -> None:
    played = Played(listens=True).open(**OFF)
    played.speak(1000)
    mark(played, "activityStart")
    played.speak(400)
    mark(played, "activityEnd")
    played.speak(1000)
    (hearing,) = played.hearings
    assert len(hearing.pcm16k) == 400 * 16


def test_a_turn_that_includes_all_input_begins_where_the_last_one_ended() -> None:
    played = Played(listens=True).open(**ALL)
    for before_ms in (200, 5000):
        played.hush(before_ms)
        mark(played, "activityStart")
        played.speak(400)
        mark(played, "activityEnd")
    assert [len(hearing.pcm16k) // 16 for hearing in played.hearings] == [600, 5400]


def test_nothing_is_answered_without_a_mark() -> None:
    played = Played().open(**OFF)
    played.speak(1000)
    played.hush(3000)
    assert played.times("modelTurn") == []


def test_the_answer_comes_after_the_mark_not_after_a_silence() -> None:
    played = Played().open(inputAudioTranscription={}, **OFF)
    mark(played, "activityStart")
    played.speak(600)
    ended_ms = played.at_ms
    mark(played, "activityEnd")
    played.run(3000)
    assert played.times("modelTurn")[0] - ended_ms == 300  # think_speech, no silence before it


@pytest.mark.parametrize("within", [True, False])
def test_text_within_a_turn_waits_for_its_end_and_outside_one_is_answered_at_once(within: bool) -> None:
    played = Played(steady(script=[])).open(**OFF)
    if within:
        mark(played, "activityStart")
    played.send({"realtimeInput": {"text": "hello"}})
    played.run(2000)
    assert bool(played.times("modelTurn")) is not within
    if within:
        mark(played, "activityEnd")
        played.run(2000)
        assert played.times("modelTurn")
        assert ("user", "hello") in played.session.memory.history


def test_marks_are_refused_while_the_service_detects_and_the_stream_s_end_while_it_does_not() -> None:
    played = Played().open()
    mark(played, "activityStart")
    assert played.closes[0].code == 1007
    manual = Played().open(**OFF)
    manual.send({"realtimeInput": {"audioStreamEnd": True}})
    assert manual.closes[0].code == 1007


def test_what_was_kept_for_a_turn_may_come_in_a_burst() -> None:
    played = Played(listens=True).open(**OFF)
    mark(played, "activityStart")
    for part in (silence(200), tone(600)):
        played.send(audio_frame(part))
    mark(played, "activityEnd")
    (hearing,) = played.hearings
    assert len(hearing.pcm16k) == 800 * 16
    assert np.abs(hearing.pcm16k[3300:]).max() > 1000


def test_it_takes_the_setting_in_either_spelling() -> None:
    setup: dict[str, Any] = {"realtime_input_config": {"automatic_activity_detection": {"disabled": True}}}
    played = Played().open(**setup)
    mark(played, "activityStart")
    assert not played.closes
