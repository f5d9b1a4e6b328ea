from __future__ import annotations

import random

import pytest

from media_plane.call.playout import Playout

MS = 1_000_000


def test_what_is_left_is_what_was_sent_less_what_time_has_played() -> None:
    playout = Playout()
    playout.write(8000, 0)
    assert playout.left_ns(0) == 1000 * MS
    assert playout.left_ns(300 * MS) == 700 * MS
    assert playout.left_ns(5000 * MS) == 0


def test_audio_sent_while_some_plays_is_played_after_it() -> None:
    playout = Playout()
    playout.write(8000, 0)
    playout.write(8000, 200 * MS)
    assert playout.end_ns == 2000 * MS


def test_audio_sent_after_silence_starts_at_once() -> None:
    playout = Playout()
    playout.write(800, 0)
    playout.write(800, 5000 * MS)
    assert playout.end_ns == 5100 * MS


def test_clear_says_how_much_was_never_heard() -> None:
    playout = Playout()
    playout.write(24_000, 0)
    assert playout.clear(1100 * MS) == 1900 * MS
    assert playout.left_ns(1100 * MS) == 0
    assert playout.clear(1100 * MS) == 0


def test_marks_are_due_every_200_ms_in_the_first_second_and_every_second_after_it() -> None:
    playout = Playout()
    due = []
    for frame in range(1, 201):  # 4 s
        if playout.write(160, 0):
            assert playout.due_mark() == f"m{frame * 160}"
            due.append(frame * 20)
    assert due == [200, 400, 600, 800, 1000, 2000, 3000, 4000]
    assert playout.write(1600, 60_000 * MS)  # dry meanwhile: the lag has to be learned again


def test_a_mark_is_due_after_200_ms_and_at_the_end_of_a_turn() -> None:
    playout = Playout()
    assert playout.due_mark(turn_over=True) is None
    playout.write(1599, 0)
    assert playout.due_mark() is None
    playout.write(1, 0)
    first = playout.due_mark()
    assert first is not None
    assert playout.due_mark() is None
    playout.write(40, 0)
    last = playout.due_mark(turn_over=True)
    assert last is not None
    assert last != first
    assert playout.due_mark(turn_over=True) is None


def test_marks_tell_how_far_behind_our_clock_it_plays() -> None:
    playout = Playout()
    playout.write(8000, 0)
    name = playout.due_mark()
    assert name is not None
    playout.write(8000, 0)
    assert playout.returned(name, 1150 * MS)  # a second of audio, heard 150 ms late
    assert playout.left_ns(1150 * MS) == 1000 * MS


def test_a_mark_that_is_late_for_reasons_of_its_own_changes_nothing() -> None:
    playout = Playout()
    playout.write(1600, 0)
    prompt = playout.due_mark()
    playout.write(1600, 0)
    delayed = playout.due_mark()
    assert prompt is not None
    assert delayed is not None
    playout.write(16_000, 0)
    playout.returned(prompt, 230 * MS)
    playout.returned(delayed, 1900 * MS)
    assert playout.left_ns(1900 * MS) == (2400 + 30 - 1900) * MS


def test_marks_lost_returned_twice_unknown_or_cleared_say_nothing() -> None:
    playout = Playout()
    playout.write(1600, 0)
    name = playout.due_mark()
    assert name is not None
    for unknown in ("never sent", "", "m", "m1599", "m-1", "m²", "m" + "9" * 5000):
        assert not playout.returned(unknown, 0)
    assert playout.returned(name, 200 * MS)
    assert not playout.returned(name, 200 * MS)
    playout.write(1600, 200 * MS)
    cleared = playout.due_mark()
    assert cleared is not None
    playout.clear(210 * MS)
    assert not playout.returned(cleared, 211 * MS)
    playout.write(1600, 300 * MS)
    assert playout.left_ns(300 * MS) == 200 * MS


def test_marks_that_never_come_back_are_forgotten_not_hoarded() -> None:
    playout = Playout()
    for _ in range(4000):
        playout.write(8000, 0)
        assert playout.due_mark() is not None
    assert playout.marks_lost == 4000 - 1024


@pytest.mark.parametrize("seed", range(5))
def test_over_random_barge_ins_the_estimate_stays_within_20_ms_of_what_is_played(seed: int) -> None:
    """A player that starts 0-60 ms late and returns marks with jitter, losing one in five."""
    rng = random.Random(seed)
    playout = Playout()
    now = 0
    for _ in range(200):
        lag = rng.randrange(0, 60) * MS
        began, sent = now, 0
        marks: list[tuple[int, str]] = []
        for _ in range(rng.randrange(5, 60)):
            playout.write(320, now)
            sent += 320
            name = playout.due_mark()
            if name is not None and rng.random() > 0.2:
                played = began + lag + sent * 125_000
                marks.append((played + int(rng.expovariate(0.2) * MS), name))
            now += 12 * MS
        interrupted = began + lag + rng.randrange(700, 2500) * MS
        for at, name in sorted(marks):
            if at < interrupted:
                playout.returned(name, at)
        now = max(now, interrupted)
        truth = max(0, began + lag + sent * 125_000 - now)
        heard_marks = sum(at < interrupted for at, _ in marks)
        tolerance = 20 * MS if heard_marks >= 5 else 60 * MS
        assert abs(playout.left_ns(now) - truth) <= tolerance
        playout.clear(now)
        now += rng.randrange(100, 3000) * MS
