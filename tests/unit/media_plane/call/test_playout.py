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


def test_marks_are_due_every_200_ms_in_the_first_second_and_every_other_second_after_it() -> None:
    playout = Playout()
    due = []
    for frame in range(1, 301):  # 6 s
        if playout.write(160, 0):
            assert playout.due_mark() == f"m{frame * 160}"
            due.append(frame * 20)
    assert due == [200, 400, 600, 800, 1000, 3000, 5000]
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


def marked(playout: Playout, count: int) -> list[tuple[int, str]]:
    """`count` marks, written at 0 with the audio before them: after how many ms of audio each stands."""
    marks: list[tuple[int, str]] = []
    while len(marks) < count:
        if playout.write(1600, 0):
            name = playout.due_mark()
            assert name is not None
            marks.append((playout.sent // 8, name))
    return marks


def probed(playout: Playout, round_trip_ns: int) -> None:
    """The way to Twilio and back is known, at 0."""
    name = playout.due_probe(-5000 * MS)
    assert name is not None
    assert playout.returned(name, -5000 * MS + round_trip_ns)


def test_marks_tell_how_far_behind_our_clock_it_plays_the_way_there_and_back_apart() -> None:
    playout = Playout()
    probed(playout, 30 * MS)
    for ms, name in marked(playout, 5):
        assert playout.returned(name, (ms + 80) * MS)  # heard 50 ms late, told 30 ms later
    playout.write(8000, 0)
    assert playout.left_ns(1150 * MS) == (2000 + 50 - 1150) * MS
    assert playout.played(1150 * MS) == (1150 - 50) * 8


def test_marks_tell_nothing_while_the_way_is_not_known() -> None:
    playout = Playout()
    for ms, name in marked(playout, 5):
        assert playout.returned(name, (ms + 70) * MS)
    assert playout.played(500 * MS) == 4000


def test_a_mark_that_is_late_for_reasons_of_its_own_changes_nothing() -> None:
    playout = Playout()
    probed(playout, 10 * MS)
    for number, (ms, name) in enumerate(marked(playout, 6)):
        playout.returned(name, (ms + (40 if number % 2 else 700)) * MS)
    assert playout.played(900 * MS) == (900 - 30) * 8


@pytest.mark.parametrize(("marks", "behind_ms"), [(5, 0), (6, 200)])
def test_a_side_that_plays_much_later_than_before_is_believed_after_more_marks(
    marks: int, behind_ms: int
) -> None:
    playout = Playout()
    probed(playout, 10 * MS)
    for ms, name in marked(playout, marks):
        playout.returned(name, (ms + 210) * MS)
    assert playout.played(900 * MS) == (900 - behind_ms) * 8


def test_a_few_marks_are_not_believed_against_what_was_usual() -> None:
    playout = Playout()
    probed(playout, 10 * MS)
    for ms, name in marked(playout, 3):
        playout.returned(name, (ms + 90) * MS)
    assert playout.played(500 * MS) == 4000


def test_when_all_marks_are_lost_it_plays_as_far_behind_as_before() -> None:
    playout = Playout()
    probed(playout, 10 * MS)
    for ms, name in marked(playout, 5):
        playout.returned(name, (ms + 60) * MS)
    playout.write(8000, 5000 * MS)
    assert playout.played(5500 * MS) == 8000 + (500 - 50) * 8


def test_a_hole_in_what_is_played_shows_in_the_marks_after_it() -> None:
    playout = Playout()
    probed(playout, 0)
    for ms, name in marked(playout, 12):
        playout.returned(name, (ms + (0 if ms < 800 else 80)) * MS)
    assert playout.played(2500 * MS) == (2500 - 80) * 8


def test_probes_are_sent_three_times_soon_and_then_seldom_and_only_when_nothing_plays() -> None:
    playout = Playout()
    sent = [ms for ms in range(0, 90_000, 200) if playout.due_probe(1 + ms * MS)]
    assert sent == [0, 1000, 2000, 32_000, 62_000]
    playout.write(80_000, 100_000 * MS)
    assert playout.due_probe(110_900 * MS) is None
    assert playout.due_probe(111_000 * MS) == "p6"


def test_only_the_newest_probe_counts_and_the_shortest_way() -> None:
    playout = Playout()
    assert playout.due_probe(0) == "p1"
    assert playout.due_probe(1000 * MS) == "p2"
    assert not playout.returned("p1", 1010 * MS)
    assert playout.returned("p2", 1500 * MS)
    assert playout.due_probe(2000 * MS) == "p3"
    assert playout.returned("p3", 2020 * MS)
    for ms, name in marked(playout, 5):
        playout.returned(name, (ms + 50) * MS)
    assert playout.played(500 * MS) == (500 - 30) * 8


def test_at_a_call_s_end_what_may_have_been_played_since_it_ended_does_not_count() -> None:
    playout = Playout()
    playout.write(16_000, 0)
    assert playout.played_when_gone(1000 * MS) == 900 * 8
    probed(playout, 40 * MS)
    assert playout.played_when_gone(1000 * MS) == 960 * 8


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
        playout.write(16000, 0)
        assert playout.due_mark() is not None
    assert playout.marks_lost == 4000 - 1024


@pytest.mark.parametrize("seed", range(5))
def test_over_random_barge_ins_the_estimate_stays_within_20_ms_of_what_is_played(seed: int) -> None:
    """A player that starts 0-60 ms late and returns marks with jitter, losing one in five."""
    rng = random.Random(seed)
    playout = Playout()
    probed(playout, 0)
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


def test_what_is_taken_back_counts_as_not_sent_and_is_played_when_it_is_sent_again() -> None:
    playout = Playout()
    playout.write(16_000, 0)
    assert playout.take_back(500 * MS) == playout.sent == 4000
    assert playout.left_ns(500 * MS) == 0
    assert playout.played(5000 * MS) == 4000
    playout.write(12_000, 1500 * MS)
    assert playout.played(2000 * MS) == 8000
    assert playout.left_ns(2000 * MS) == 1000 * MS


def test_marks_of_what_was_taken_back_are_never_named_again_and_tell_nothing() -> None:
    playout = Playout()
    probed(playout, 10 * MS)
    names: list[str] = []

    def send() -> None:
        for _ in range(20):
            if playout.write(800, 0):
                names.append(playout.due_mark() or "")

    send()
    before = list(names)
    for _ in range(3):
        playout.take_back(300 * MS)
        send()
    assert len(names) == len(set(names)) > 12
    assert not any(playout.returned(name, 5000 * MS) for name in before)


def test_marks_tell_as_much_of_what_was_sent_again() -> None:
    playout = Playout()
    probed(playout, 10 * MS)
    playout.write(16_000, 0)
    assert playout.take_back(500 * MS) == 4000
    for number in range(1, 6):
        assert playout.write(1600, 1000 * MS)
        name = playout.due_mark()
        assert name is not None
        assert playout.returned(name, (1000 + 200 * number + 50) * MS)  # 40 ms behind
    playout.write(4000, 1000 * MS)
    assert playout.played(1500 * MS) == 4000 + (500 - 40) * 8


def test_who_is_gone_before_it_was_taken_back_has_heard_less() -> None:
    playout = Playout()
    probed(playout, 80 * MS)
    playout.write(16_000, 0)
    playout.take_back(500 * MS)
    assert playout.played_when_gone(530 * MS) == 450 * 8  # gone at 450
    assert playout.played_when_gone(600 * MS) == 500 * 8
