"""What the bench of endless calls makes of what it hears."""

from __future__ import annotations

from itertools import islice

from bench.gemini.endless import Found, answers, histogram, judge_words, summary
from bench.gemini.endless_call import Question, numbers, whole
from bench.sim.gemini.mouths import NUMBERS, sound
from bench.sim.gemini.scenario import VoiceSpec
from media_plane.dsp.g711 import compress


def heard(*said: int) -> bytes:
    pcm = sound(" ".join(map(str, said)) + ".", VoiceSpec(numbers=True))
    return compress(pcm[::3]).tobytes()


def judged(*said: int) -> Found:
    found = Found("call", 1.0, [Question(0, 0, 1000, heard=bytearray(heard(*said)))])
    judge_words(found)
    return found


def test_every_number_can_be_told_by_its_sound() -> None:
    assert whole(numbers(heard(*range(NUMBERS)))) == list(range(NUMBERS))


def test_a_piece_of_a_word_is_no_word() -> None:
    assert whole(numbers(heard(1, 2, 3)[:-2000])) == [1, 2]


def test_words_that_are_lost_or_repeated_are_counted() -> None:
    words = list(next(islice(answers(), 0, 1)))
    assert (judged(*words).lost, judged(*words).repeated) == (0, 0)
    assert (judged(*words[:-2]).lost, judged(*words[:-2]).repeated) == (2, 0)
    assert (judged(*words, words[0]).lost, judged(*words, words[0]).repeated) == (0, 1)


def test_a_call_in_which_nothing_was_lost_meets_the_bars() -> None:
    found = judged(*next(islice(answers(), 0, 1)))
    found.samples = found.once = 8000
    assert summary(found)["met"]
    found.once = 7992
    assert not summary(found)["met"]


def test_gaps_are_counted_by_size() -> None:
    assert histogram([10.0, 60.0, 90.0, 9000.0]) == {"<= 50 ms": 1, "<= 100 ms": 2, "more": 1}
