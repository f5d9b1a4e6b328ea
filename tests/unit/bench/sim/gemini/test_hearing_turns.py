"""Speech mode's side of a session: when hearing is asked for, and what is made of guesses."""

from __future__ import annotations

import numpy as np

from bench.sim.gemini import scenario
from bench.sim.gemini.actions import ForgetHearing
from bench.sim.gemini.scenario import Scenario
from tests.support.gemini_sim import STEADY, Played, audio_of, words_of


def listening(**changes: object) -> Played:
    chosen = Scenario.model_validate({**STEADY, "small_talk": ["So {reflected}."], **changes})
    return Played(chosen, listens=True).open(inputAudioTranscription={}, outputAudioTranscription={})


def speech(ms: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.full(24 * ms, 1000, np.int16)


def test_hearing_starts_on_a_guess_halfway_through_the_silence() -> None:
    played = listening()
    played.speak(1000)
    played.hush(380)
    assert played.hearings == []
    played.hush(20)
    (hear,) = played.hearings
    # 300 ms before the onset were kept if they had been sent; 200 ms after the last voiced sample are.
    assert hear.pcm16k.size == 16 * 1200
    assert played.noted("endpoint") == []


def test_words_heard_on_a_guess_are_answered_once_the_turn_is_over() -> None:
    played = listening()
    played.speak(1000)
    played.hush(400)
    played.heard(played.hearings[0].job, "I like tea.")
    assert played.noted("reply") == []
    played.hush(400)
    assert [note.fields["text"] for note in played.noted("reply")] == ["So you like tea."]
    assert len(played.hearings) == 1
    endpoint_ms = played.at_ms
    played.said(played.says[0], speech(1000))
    played.run(400)
    assert played.times("modelTurn")[0] == endpoint_ms + 300
    assert words_of(played.frames, "inputTranscription") == " I like tea."


def test_a_guess_is_forgotten_when_the_caller_goes_on() -> None:
    played = listening()
    played.speak(1000)
    played.hush(500)
    played.speak(500)
    guess = played.hearings[0].job
    assert ForgetHearing(guess) in played.others
    played.heard(guess, "wrong")
    played.hush(800)
    _, final = played.hearings
    assert final.pcm16k.size == 16 * (1000 + 500 + 500 + 200)
    played.heard(final.job, "all of it")
    assert [note.fields["text"] for note in played.noted("heard")] == ["all of it"]


def test_slow_hearing_delays_the_answer_and_no_more() -> None:
    played = listening()
    played.speak(1000)
    played.hush(800)
    played.run(2000)
    heard_ms = played.at_ms
    played.heard(played.hearings[0].job, "hello there friend")
    played.run(100)
    played.said(played.says[0], speech(500))
    assert played.times("modelTurn") == [heard_ms + 100]


def test_nothing_heard_is_not_answered() -> None:
    played = listening()
    played.speak(600)
    played.hush(800)
    played.heard(played.hearings[0].job, "")
    played.run(5000)
    assert played.frames == []


def test_words_heard_while_the_caller_goes_on_wait_for_the_rest() -> None:
    played = listening()
    played.speak(600)
    played.hush(800)
    first = played.hearings[0].job
    played.speak(400)  # speech is committed again before the first words are known
    played.heard(first, "I would like")
    assert played.noted("reply") == []
    played.hush(400)
    played.heard(played.hearings[1].job, "a room.")
    played.hush(400)
    assert [note.fields["text"] for note in played.noted("reply")] == ["So you would like a room."]


def test_sentences_are_spoken_in_order_whenever_the_voice_has_them() -> None:
    played = listening(greeting="This is the first sentence. And here is the second one.")
    played.send({"clientContent": {"turnComplete": True}})
    first, second = played.says
    played.said(second, speech(400))
    played.run(1000)
    assert played.frames == []
    played.said(first, speech(600))
    played.run(3000)
    assert words_of(played.frames, "outputTranscription") == (
        " This is the first sentence. And here is the second one."
    )
    assert len(audio_of(played.frames)) == 2 * 24 * (600 + 180 + 400)  # with a breath between


def test_a_sentence_that_is_late_makes_a_gap_and_is_not_lost() -> None:
    played = listening(greeting="This is the first sentence. And here is the second one.")
    played.send({"clientContent": {"turnComplete": True}})
    first, second = played.says
    played.said(first, speech(600))
    played.run(3000)
    assert played.times("generationComplete") == []
    played.said(second, speech(400))
    played.run(3000)
    assert len(played.times("generationComplete")) == len(played.times("turnComplete")) == 1


def test_a_sentence_of_an_interrupted_answer_is_dropped() -> None:
    played = listening()
    played.send({"clientContent": {"turnComplete": True}})
    (say,) = played.says
    played.send({"clientContent": {"turnComplete": False}})
    played.said(say, speech(500))
    played.run(3000)
    assert audio_of(played.frames) == b""


def test_the_front_desk_books_a_table_turn_by_turn() -> None:
    chosen = scenario.load(scenario.DEFAULTS["speech"])
    played = Played(chosen, listens=True).open()
    for text in ("I want to book a table.", "On Friday please.", "At seven o'clock.", "We are four people."):
        played.send({"realtimeInput": {"text": text}})
        played.said(played.says[-1], speech(50))
        played.run(3000)
    assert [note.fields["text"] for note in played.noted("reply")] == [
        "Gladly. For which day would you like a table?",
        "And at what time?",
        "For how many people?",
        "Your table is booked for Friday at seven o'clock, four people. Is there anything else?",
    ]
