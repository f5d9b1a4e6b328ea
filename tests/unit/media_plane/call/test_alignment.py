"""Which words were heard, of deltas that came with, ahead of or behind their audio."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_plane.call.alignment import LATE, Pace, heard_length, units

S = 8000


def heard(deltas: list[str], received_s: list[float], heard_s: float, of_s: float) -> str:
    received = [LATE if s < 0 else round(s * S) for s in received_s]
    cut = heard_length(deltas, received, round(heard_s * S), round(of_s * S), Pace())
    return "".join(deltas)[:cut].strip()


def test_words_are_heard_as_their_audio_is_played() -> None:
    deltas, received = [" We are", " open from", " nine until", " six."], [0.5, 1.0, 1.7, 2.4]
    assert heard(deltas, received, 0.1, 3) == ""
    assert heard(deltas, received, 1.45, 3) == "We are"
    assert heard(deltas, received, 2.2, 3) == "We are open from"
    assert heard(deltas, received, 2.9, 3) == "We are open from nine until"


def test_the_same_instant_of_audio_never_makes_the_word_it_cuts_a_heard_one() -> None:
    deltas, received = [" one", " two", " three"], [0.3, 0.7, 1.1]
    assert "two" not in heard(deltas, received, 0.69, 1.5)


def test_text_that_comes_long_after_its_audio_is_read_slowly() -> None:
    pace = Pace()
    text = " We are open from nine in the morning until six in the evening, every day but Sunday."
    pace.learn(text, 6 * S)
    cut = heard_length([text], [6 * S], 4 * S, 6 * S, pace)
    assert "We are open" in text[:cut]
    assert "evening" not in text[:cut]


def test_what_comes_after_the_cut_was_not_heard() -> None:
    assert heard([" one", " two"], [0.3, -1], 9, 9) == "one"


def test_a_word_that_may_go_on_is_not_yet_a_word() -> None:
    assert heard([" Good", " morn"], [0.3, 0.7], 3, 3) == "Good"
    assert heard([" Good", " morn", "ing."], [0.3, 0.7, 0.8], 3, 3) == "Good morning."
    assert heard([" Good", " morn", "ing."], [0.3, 0.7, -1], 3, 3) == "Good"


def test_scripts_without_spaces_are_cut_between_their_signs() -> None:
    deltas, received = ["我们每天", "九点开门。"], [0.5, 1.4]
    assert heard(deltas, received, 1.5, 3) in ("我", "我们", "我们每", "我们每天")


def test_numbers_and_signs_take_longer_to_say_than_letters() -> None:
    assert units("1999") > units("nine")
    assert units("$5") > units("of")
    assert units("你好") > units("ab")
    assert units("") == 0


def test_a_voice_is_as_slow_as_its_slowest_turn() -> None:
    pace = Pace()
    pace.learn("x" * 100, 10 * S)
    slow = pace.slow("", 0)
    pace.learn("x" * 300, 10 * S)
    assert pace.slow("", 0) == slow
    pace.learn("x" * 10, 100)  # too short to tell
    assert pace.slow("", 0) == slow
    pace.learn("x" * 50, 10 * S)
    assert pace.slow("", 0) == pytest.approx(2 * slow)


def test_a_turn_slower_than_the_voice_was_is_read_at_its_own_pace() -> None:
    pace = Pace()
    pace.learn("x" * 150, 10 * S)
    assert pace.slow("x" * 50, 10 * S) > pace.slow("x" * 150, 10 * S)


@settings(max_examples=200, deadline=None)
@given(
    deltas=st.lists(st.text(alphabet="ab 7,你.\n", max_size=8), max_size=12),
    steps=st.lists(st.integers(0, 20_000), min_size=12, max_size=12),
    at=st.integers(0, 100_000),
    more=st.integers(0, 50_000),
)
def test_whoever_hears_longer_hears_no_less_and_never_half_a_word(
    deltas: list[str], steps: list[int], at: int, more: int
) -> None:
    received = [sum(steps[: index + 1]) for index in range(len(deltas))]
    samples = received[-1] if received else 0
    first = heard_length(deltas, received, at, samples, Pace())
    second = heard_length(deltas, received, at + more, samples, Pace())
    text = "".join(deltas)
    assert 0 <= first <= second <= len(text)
    if 0 < first < len(text):
        assert not (text[first - 1 : first + 1].isascii() and text[first - 1 : first + 1].isalnum())
