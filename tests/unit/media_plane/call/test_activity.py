"""Turns from probabilities: where they begin and end, and what is too short to be one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_plane.call.activity import Activity, Change, Detection

PIECE = 512  # 32 ms at 16 kHz
USUAL = Detection()


def judged(activity: Activity, *pieces: tuple[float, int]) -> list[tuple[Change, int]]:
    """Each probability so many times: what changed, and behind which piece (of all)."""
    found = []
    for probability, times in pieces:
        for _ in range(times):
            change = activity.judge(probability, PIECE)
            if change is not None:
                found.append((change, activity.position // PIECE))
    return found


def test_a_turn_begins_when_there_has_been_speech_for_long_enough_and_ends_after_the_silence() -> None:
    activity = Activity(USUAL)
    changes = judged(activity, (0.0, 10), (0.9, 20), (0.0, 40))
    assert changes == [(Change.STARTED, 14), (Change.ENDED, 46)]  # 128 ms of speech; 512 of silence


def test_its_audio_begins_before_its_first_speech() -> None:
    activity = Activity(Detection(speech_pad_ms=64))
    judged(activity, (0.0, 10), (0.9, 4))
    assert activity.begins == 8 * PIECE


def test_it_does_not_begin_before_the_audio_does() -> None:
    activity = Activity(USUAL)
    judged(activity, (0.9, 4))
    assert activity.begins == 0


@pytest.mark.parametrize(
    ("pieces", "turns"),
    [
        ([(0.9, 3), (0.0, 40)], 0),  # a click
        ([(0.9, 3), (0.0, 4), (0.9, 3), (0.0, 40)], 0),  # two, apart
        ([(0.9, 2), (0.0, 3), (0.9, 2), (0.0, 40)], 1),  # one word with a stop in it
        ([(0.9, 10), (0.0, 15), (0.9, 10), (0.0, 40)], 1),  # a pause for breath
        ([(0.9, 10), (0.0, 16), (0.9, 10), (0.0, 40)], 2),
        ([(0.45, 40)], 0),  # between release and threshold: nothing has begun
        ([(0.9, 4), (0.45, 40), (0.0, 40)], 1),  # speech goes on there
        ([(0.9, 4), (0.0, 1), (0.45, 40)], 1),  # and does not begin again there
    ],
)
def test_turns_are_told_from_clicks_and_pauses(pieces: list[tuple[float, int]], turns: int) -> None:
    changes = judged(Activity(USUAL), *pieces)
    assert [change for change, _ in changes] == [Change.STARTED, Change.ENDED] * turns


def test_every_knob_does_what_it_says() -> None:
    detection = Detection(
        threshold=0.8, release=0.7, prefix_padding_ms=0, silence_duration_ms=32, speech_pad_ms=0
    )
    activity = Activity(detection)
    assert judged(activity, (0.75, 5), (0.8, 1), (0.75, 1), (0.6, 1)) == [
        (Change.STARTED, 6),
        (Change.ENDED, 8),
    ]
    assert activity.begins == 5 * PIECE


def test_what_is_not_judged_changes_nothing_but_the_position() -> None:
    activity = Activity(USUAL)
    judged(activity, (0.9, 3))
    activity.skip(100 * PIECE)
    assert activity.position == 103 * PIECE
    assert judged(activity, (0.9, 1)) == [(Change.STARTED, 104)]


def test_after_a_reset_nothing_is_left_but_the_position() -> None:
    activity = Activity(USUAL)
    judged(activity, (0.9, 10))
    activity.reset()
    assert not activity.speaking
    assert judged(activity, (0.9, 4)) == [(Change.STARTED, 14)]
    assert activity.begins == 10 * PIECE - 300 * 16


@given(
    st.lists(st.floats(0, 1), max_size=300),
    st.builds(
        Detection,
        threshold=st.floats(0.3, 0.9),
        release=st.floats(0.01, 0.3),
        prefix_padding_ms=st.integers(0, 500),
        silence_duration_ms=st.integers(1, 1000),
        speech_pad_ms=st.integers(0, 500),
    ),
)
def test_turns_alternate_and_their_audio_was_kept(probabilities: list[float], detection: Detection) -> None:
    activity = Activity(detection)
    kept_from, last = 0, Change.ENDED
    for probability in probabilities:
        change = activity.judge(probability, PIECE)
        if change is not None:
            assert change is not last
            last = change
        if change is Change.STARTED:
            assert kept_from <= activity.begins <= activity.position
        if not activity.speaking:
            assert kept_from <= activity.keep_from <= activity.position
            kept_from = activity.keep_from
