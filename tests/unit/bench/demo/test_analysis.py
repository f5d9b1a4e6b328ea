"""The demo's numbers, from timelines written out by hand."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from bench.demo.analysis import Entry, analyse, audible_seconds, log_of_call, read_wav, turns

RATE = 8000
ANSWER_NS = 5_000_000_000


def at(ms: float, kind: str) -> Entry:
    return {"t_ns": ANSWER_NS + int(ms * 1e6), "ms": ms, "kind": kind}


def recording(seconds: float = 10.0, left_s: float = 2.0, right_s: float = 3.0) -> bytes:
    samples = np.zeros((int(seconds * RATE), 2), np.int16)
    for channel, audible_s in ((0, left_s), (1, right_s)):
        tone = 8000 * np.sin(2 * np.pi * 440 * np.arange(int(audible_s * RATE)) / RATE)
        samples[: len(tone), channel] = tone.astype(np.int16)
    out = io.BytesIO()
    with wave.open(out, "wb") as target:
        target.setnchannels(2)
        target.setsampwidth(2)
        target.setframerate(RATE)
        target.writeframes(samples.tobytes())
    return out.getvalue()


# Greeting, a question, an answer that the callee interrupts, and the answer to that.
TIMELINE = [
    at(0, "answered"),
    at(300, "heard_start"),
    at(2300, "heard_stop"),
    at(2800, "callee_speaks"),
    at(5800, "callee_stops"),
    at(7000, "heard_start"),
    at(7900, "callee_speaks"),
    at(8600, "clear"),
    at(8610, "heard_stop"),
    at(9900, "callee_stops"),
    at(11500, "heard_start"),
    at(13500, "heard_stop"),
    at(14000, "ended"),
]
LOG = [
    at(6300, "endpoint"),
    at(6900, "first_audio"),
    at(8595, "interrupted"),
    at(10400, "endpoint"),
    at(11300, "first_audio"),
]


def test_a_response_is_split_into_turn_detection_model_and_delivery() -> None:
    report = analyse("call-1", "CA1", TIMELINE, LOG, recording())
    first, second = report.responses
    assert (first.callee_stopped_ms, first.heard_ms, first.response_ms) == (5800, 7000, 1200)
    assert first.turn_detection_ms == pytest.approx(500)
    assert first.model_ms == pytest.approx(600)
    assert first.delivery_ms == pytest.approx(100)
    assert second.response_ms == 1600


def test_speaking_over_the_agent_is_a_barge_in_with_its_reaction_time() -> None:
    (cut,) = analyse("call-1", "CA1", TIMELINE, LOG, recording()).barge_ins
    assert (cut.began_ms, cut.silenced_ms, cut.reaction_ms) == (7900, 8610, 710)
    assert cut.model_ms == pytest.approx(695)
    assert cut.clear_ms == pytest.approx(5)


def test_the_first_word_heard_counts_from_the_answer() -> None:
    assert analyse("call-1", "CA1", TIMELINE, LOG, recording()).first_word_heard_ms == 300


def test_without_the_models_log_times_are_not_made_up() -> None:
    first = analyse("call-1", "CA1", TIMELINE, [], recording()).responses[0]
    assert first.response_ms == 1200
    assert (first.turn_detection_ms, first.model_ms, first.delivery_ms) == (None, None, None)


def test_a_callee_who_goes_on_after_a_pause_has_not_been_answered_in_between() -> None:
    timeline = [at(0, "callee_speaks"), at(1000, "callee_stops"), at(2000, "callee_speaks")]
    timeline += [at(3000, "callee_stops"), at(3900, "heard_start"), at(4500, "heard_stop")]
    report = analyse("call-1", "CA1", timeline, [], recording())
    assert [r.response_ms for r in report.responses] == [900]


def test_an_agent_never_heard_gives_no_first_word_and_no_response() -> None:
    report = analyse("call-1", "CA1", [at(0, "answered"), at(9000, "ended")], [], recording(right_s=0))
    assert report.first_word_heard_ms is None
    assert report.responses == []
    assert report.agent_audible_s == 0
    assert report.callee_audible_s == pytest.approx(2.0, abs=0.04)


def test_breaths_do_not_end_a_turn() -> None:
    spoken = [(at(0, "a"), at(500, "b")), (at(700, "a"), at(900, "b")), (at(1500, "a"), at(1800, "b"))]
    assert [(a["ms"], b["ms"]) for a, b in turns(spoken)] == [(0, 900), (1500, 1800)]


def test_the_model_session_of_a_call_is_found_by_its_times() -> None:
    other = [at(100_000, "first_audio")]
    assert log_of_call([other, LOG], TIMELINE) is LOG
    assert log_of_call([], TIMELINE) == []


def test_a_recording_that_is_not_two_channel_16_bit_is_refused() -> None:
    out = io.BytesIO()
    with wave.open(out, "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(RATE)
        target.writeframes(b"\0\0")
    with pytest.raises(ValueError, match="1 channels of 2 bytes"):
        read_wav(out.getvalue())


def test_silence_is_not_audible() -> None:
    assert audible_seconds(np.zeros(RATE, np.int16), RATE) == 0
