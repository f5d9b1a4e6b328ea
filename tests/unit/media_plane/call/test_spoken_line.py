"""Sentences made ahead: whether they may be played, where they are filed, how many are kept."""

from __future__ import annotations

from collections import Counter

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from media_plane.call.spoken_line import MOST, RATE, Shelf, amiss, key, same_words
from media_plane.spoken_metrics import SpokenLineCollector

HOLD = "One moment, please."


@pytest.mark.parametrize(
    "heard",
    [HOLD, " One moment please", "one  MOMENT,\nplease!", "One mo ment, please."],  # deltas cut words
)
def test_a_transcription_may_differ_in_case_punctuation_and_spaces(heard: str) -> None:
    assert same_words(HOLD, heard)


@pytest.mark.parametrize(
    "heard", ["", "One moment.", "Certainly! One moment, please.", "One moment, please, John."]
)
def test_other_words_are_told_apart(heard: str) -> None:
    assert not same_words(HOLD, heard)


def test_scripts_are_compared_with_their_marks_and_in_any_form_of_writing() -> None:
    assert same_words("Einen Moment, café", "einen moment cafe\u0301")
    assert same_words("少々お待ちください。", "少々 お待ち ください")
    assert not same_words("नमस्ते", "नमसत")


@pytest.mark.parametrize(
    ("heard", "samples", "reason"),
    [
        (HOLD, RATE, ""),
        ("Good morning.", RATE, "other words were said"),
        (HOLD, RATE // 10, "it broke off"),
        (HOLD, MOST + 1, "it is too long"),
    ],
)
def test_audio_is_refused_for_its_words_or_its_length(heard: str, samples: int, reason: str) -> None:
    assert amiss(HOLD, heard, samples) == reason


def test_what_says_nothing_is_refused() -> None:
    assert amiss("...", "", 0)


def test_every_part_of_a_key_tells_lines_apart() -> None:
    parts = ("https://a", "models/m", "Puck", HOLD)
    changed = {key(*parts[:place], "other", *parts[place + 1 :]) for place in range(len(parts))}
    assert len({key(*parts), *changed}) == 5
    assert key(*parts) == key(*parts)
    assert key(*parts).startswith("spoken:v1:")


def test_a_full_shelf_forgets_what_was_asked_for_longest_ago() -> None:
    shelf = Shelf(most=30)
    for name in "abc":
        shelf.put(name, bytes(10))
    assert shelf.get("a") is not None
    shelf.put("d", bytes(10))
    assert [name for name in "abcd" if shelf.get(name) is not None] == ["a", "c", "d"]
    shelf.put("a", bytes(5))
    assert shelf.bytes == 25


def test_the_figures_say_what_became_of_lines() -> None:
    registry = CollectorRegistry()
    registry.register(SpokenLineCollector(Counter(made=2, refused=1)))
    page = generate_latest(registry).decode()
    assert 'voiceplane_media_spoken_lines_total{outcome="made"} 2.0' in page
    assert 'voiceplane_media_spoken_lines_total{outcome="refused"} 1.0' in page
