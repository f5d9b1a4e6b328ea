"""Speaking over the model: when it stops, what follows, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.gemini_sim import Played, audio_of, steady, words_of


def speaking(**setup: Any) -> Played:
    """A session whose model has been speaking for half a second."""
    played = Played().open(inputAudioTranscription={}, outputAudioTranscription={}, **setup)
    played.send({"clientContent": {"turnComplete": True}})
    played.run(700)
    assert played.times("modelTurn")
    return played


def after(played: Played, field: str) -> list[dict[str, Any]]:
    (at_ms,) = played.times(field)
    index = next(i for i, (t, frame) in enumerate(played.sent) if t == at_ms and field in str(frame))
    return played.frames[index + 1 :]


def test_speech_interrupts_450_ms_after_its_onset() -> None:
    played = speaking()
    onset_ms = played.at_ms + 20
    played.speak(600)
    assert played.times("interrupted") == [onset_ms + 180 + 250]  # committed with the tenth frame


def test_after_interrupted_come_turn_complete_and_usage_and_nothing_else() -> None:
    played = speaking()
    played.speak(600)
    played.run(300)
    (rest,) = after(played, "interrupted")
    assert rest["serverContent"] == {"turnComplete": True}
    assert rest["usageMetadata"]["responseTokenCount"] < 58  # only what was sent is billed
    assert played.times("generationComplete") == []


def test_only_words_that_were_sent_stay_in_history() -> None:
    words = " ".join(f"word{number}" for number in range(40))
    played = Played(steady(greeting=words)).open(outputAudioTranscription={})
    played.send({"clientContent": {"turnComplete": True}})
    played.run(1500)
    played.speak(600)
    played.run(100)
    said = played.session.memory.last_said
    assert said == words_of(played.frames, "outputTranscription").strip()
    assert said.startswith("word0 word1")
    assert "word39" not in said


def test_a_short_noise_does_not_interrupt() -> None:
    played = speaking()
    played.speak(100)
    played.hush(2000)
    assert played.times("interrupted") == []


def test_it_may_be_interrupted_after_generation_is_complete_while_it_still_plays() -> None:
    played = speaking()
    played.run(700)
    assert played.times("generationComplete")
    assert not played.times("turnComplete")
    played.speak(600)
    played.run(100)
    assert len(played.times("interrupted")) == 1
    assert len(played.times("turnComplete")) == 1


def test_before_its_first_audio_it_is_interrupted_and_both_utterances_are_answered() -> None:
    chosen = steady(delays={"think_speech": 3000, "interrupt": 100})
    played = Played(chosen).open(inputAudioTranscription={})
    played.speak(500)
    played.hush(900)
    played.run(300)
    played.speak(500)
    assert len(played.times("interrupted")) == 1
    assert audio_of(played.frames) == b""
    played.hush(900)
    played.run(8000)
    assert len(played.noted("reply")) == 2


def test_with_no_interruption_it_speaks_on_and_answers_afterwards() -> None:
    played = speaking(realtimeInputConfig={"activityHandling": "NO_INTERRUPTION"})
    played.speak(600)
    played.hush(900)
    played.run(9000)
    assert played.times("interrupted") == []
    first, second = played.times("turnComplete")
    answers = [at_ms for at_ms in played.times("modelTurn") if first < at_ms < second]
    assert answers[0] > first


def test_an_activity_start_interrupts() -> None:
    played = speaking(realtimeInputConfig={"automaticActivityDetection": {"disabled": True}})
    at_ms = played.at_ms
    played.send({"realtimeInput": {"activityStart": {}}})
    played.run(400)
    assert played.times("interrupted") == [at_ms + 250]


@pytest.mark.parametrize("complete", [True, False])
def test_client_content_interrupts_and_answers_only_when_the_turn_is_complete(complete: bool) -> None:
    played = speaking()
    turn = {"role": "user", "parts": [{"text": "Wait."}]}
    at_ms = played.at_ms
    played.send({"clientContent": {"turns": [turn], "turnComplete": complete}})
    played.run(5000)
    assert played.times("interrupted") == [at_ms]
    completed_ms = played.times("turnComplete")[0]
    answered = [t for t in played.times("modelTurn") if t > completed_ms]
    assert bool(answered) is complete


def test_the_next_turn_is_answered_as_usual() -> None:
    played = speaking()
    played.speak(600)
    played.hush(900)
    played.run(5000)
    assert len(played.times("turnComplete")) == 2
    assert len(played.times("generationComplete")) == 1
