"""The playback clock, by virtual time."""

from __future__ import annotations

from bench.sim.twilio.playout import MAX_BUFFERED, Playout

ANSWERED = 1_000_000_000_000
MS = 1_000_000


def at(ms: float) -> int:
    return ANSWERED + int(ms * MS)


def test_audio_on_an_empty_buffer_is_heard_from_its_arrival_on() -> None:
    playout = Playout(ANSWERED)
    assert playout.play(at(100), 160) == 800
    assert playout.buffered(at(100)) == 160
    assert playout.buffered(at(110)) == 80
    assert playout.buffered(at(500)) == 0


def test_a_sample_is_heard_only_after_it_has_come() -> None:
    playout = Playout(ANSWERED)
    assert playout.play(at(0.01), 1) == 1
    assert playout.ns_at(1) >= at(0.01)


def test_audio_behind_audio_follows_without_a_gap() -> None:
    playout = Playout(ANSWERED)
    assert playout.play(at(0), 160) == 0
    assert playout.play(at(1), 1000) == 160
    assert playout.play(at(2), 8) == 1160


def test_a_mark_is_due_when_what_came_before_it_is_played_and_not_what_came_after() -> None:
    playout = Playout(ANSWERED)
    playout.play(at(0), 160)
    playout.mark("one")
    playout.play(at(0), 160)
    playout.mark("two")
    assert playout.next_mark_ns() == at(20)
    assert playout.due_marks(at(19.9)) == []
    assert playout.due_marks(at(20)) == ["one"]
    assert playout.due_marks(at(60)) == ["two"]
    assert playout.next_mark_ns() is None


def test_a_mark_on_an_empty_buffer_is_due_at_once() -> None:
    playout = Playout(ANSWERED)
    playout.mark("now")
    assert playout.due_marks(at(0)) == ["now"]
    playout.play(at(10), 160)
    playout.mark("late")
    playout.due_marks(at(100))
    playout.mark("now again")
    assert playout.due_marks(at(100)) == ["now again"]


def test_marks_of_one_place_keep_their_order() -> None:
    playout = Playout(ANSWERED)
    playout.play(at(0), 80)
    for name in "abca":
        playout.mark(name)
    assert playout.due_marks(at(10)) == ["a", "b", "c", "a"]


def test_clear_drops_what_is_not_heard_and_gives_the_outstanding_marks() -> None:
    playout = Playout(ANSWERED)
    playout.play(at(0), 800)
    playout.mark("half")
    playout.play(at(0), 800)
    playout.mark("end")
    assert playout.due_marks(at(100)) == ["half"]
    assert playout.clear(at(150)) == (1200, 400, ["end"])
    assert playout.buffered(at(150)) == 0
    assert playout.clear(at(151)) == (1208, 0, [])
    assert playout.play(at(160), 160) == 1280


def test_clear_on_an_empty_buffer_drops_nothing() -> None:
    playout = Playout(ANSWERED)
    playout.play(at(0), 160)
    assert playout.clear(at(500)) == (4000, 0, [])
    assert playout.play(at(501), 160) == 4008


def test_more_than_ten_minutes_are_not_buffered() -> None:
    playout = Playout(ANSWERED)
    assert playout.play(at(0), MAX_BUFFERED) == 0
    assert playout.play(at(0), 1) is None
    assert playout.play(at(20), 160) == MAX_BUFFERED


def test_a_short_hole_in_speech_is_an_underrun_and_a_pause_is_not() -> None:
    playout = Playout(ANSWERED)
    playout.play(at(0), 160)
    playout.play(at(25), 160)
    playout.play(at(1000), 160)
    assert (playout.underruns, playout.underrun_samples) == (1, 40)
