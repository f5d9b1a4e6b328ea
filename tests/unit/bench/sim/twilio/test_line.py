"""Mouth and ear of one leg, by virtual time."""

from __future__ import annotations

from bench.sim.twilio.callee import Interrupt, Rest, Speak
from bench.sim.twilio.line import Line
from bench.sim.twilio.recording import Timeline

ANSWERED = 5_000_000_000
LOUD = b"\x10"


def line(*acts: Speak | Rest | Interrupt) -> tuple[Line, Timeline]:
    timeline = Timeline()
    timeline.answered_ns = ANSWERED
    it = Line(ANSWERED, list(acts), timeline, free=False)
    it.connected = True
    return it, timeline


def run(it: Line, until_ms: int) -> bytes:
    said = b""
    while (it.frames + 1) * 20 <= until_ms:
        assert it.next_tick_ns() == ANSWERED + (it.frames + 1) * 20_000_000
        said += it.tick().ulaw
    return said


def kinds(timeline: Timeline) -> list[tuple[str, float]]:
    return [(event["kind"], event["ms"]) for event in timeline.events()]


def test_what_is_said_is_recorded_where_it_was_said() -> None:
    it, timeline = line(Rest(100), Speak(LOUD * 800, "hello"))
    said = run(it, 1000)
    assert said == bytes(it.recording.said)
    assert said.index(LOUD) == 120 * 8
    assert kinds(timeline) == [("callee_speaks", 120.0), ("callee_stops", 220.0)]


def test_what_is_heard_begins_at_the_sample_of_its_arrival() -> None:
    it, timeline = line()
    run(it, 100)
    assert it.hear(ANSWERED + 103_000_000, LOUD * 1600) == 824
    run(it, 1000)
    assert bytes(it.recording.heard).index(LOUD) == 824
    assert kinds(timeline) == [("heard_start", 103.0), ("heard_stop", 303.0)]


def test_clearing_ends_what_is_heard_at_that_moment() -> None:
    it, _ = line()
    it.hear(ANSWERED, LOUD * 8000)
    run(it, 400)
    dropped_ms, marks = it.silence(ANSWERED + 400_000_000)
    assert (dropped_ms, marks) == (600.0, [])
    run(it, 1000)
    assert bytes(it.recording.heard).rstrip(b"\xff") == LOUD * 3200


def test_a_barge_in_is_placed_by_what_is_audible() -> None:
    it, timeline = line(Interrupt(Speak(LOUD * 800, "stop"), 500, 15_000))
    run(it, 200)
    it.hear(ANSWERED + 200_000_000, LOUD * 16000)
    run(it, 2000)
    assert ("heard_start", 200.0) in kinds(timeline)
    assert ("callee_speaks", 700.0) in kinds(timeline)


def test_the_end_closes_what_is_open_and_measures_the_call() -> None:
    it, timeline = line()
    it.hear(ANSWERED, LOUD * 8000)
    run(it, 500)
    assert it.end(ANSWERED + 510_000_000) == 4080
    assert kinds(timeline) == [("heard_start", 0.0), ("heard_stop", 500.0)]
