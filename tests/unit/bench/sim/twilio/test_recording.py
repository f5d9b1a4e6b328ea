"""The recording and the timeline."""

from __future__ import annotations

import io
import wave

import numpy as np

from bench.sim.twilio import mulaw, recording
from bench.sim.twilio.recording import Recording, Timeline


def test_the_wav_is_two_channels_of_16_bit_at_8_khz() -> None:
    it = Recording()
    it.say(2, b"\x10\x20")
    it.hear(0, b"\x30" * 10)
    it.cut(1)
    with wave.open(io.BytesIO(it.wav(6))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (
            2,
            2,
            8000,
            6,
        )
        both = np.frombuffer(file.readframes(6), "<i2").reshape(-1, 2)
    assert both[:, 0].tolist() == [0, 0, mulaw.DECODE[0x10], mulaw.DECODE[0x20], 0, 0]
    assert both[:, 1].tolist() == [mulaw.DECODE[0x30], 0, 0, 0, 0, 0]


def test_a_call_of_more_than_four_hours_is_kept_up_to_there() -> None:
    it = Recording()
    it.say(recording.MAX_SAMPLES - 5, b"\x10" * 10)
    assert it.said == b""


def test_events_are_told_by_time_and_since_the_answer() -> None:
    timeline = Timeline()
    timeline.add(2_000_000, "ringing")
    timeline.answered_ns = 10_000_000
    timeline.add_sample(16, "heard_start")
    timeline.add(10_500_000, "clear", discarded_ms=3.5)
    assert timeline.events() == [
        {"t_ns": 2_000_000, "ms": -8.0, "kind": "ringing"},
        {"t_ns": 10_500_000, "ms": 0.5, "kind": "clear", "discarded_ms": 3.5},
        {"t_ns": 12_000_000, "ms": 2.0, "kind": "heard_start"},
    ]


def test_a_call_without_an_answer_has_no_milliseconds() -> None:
    timeline = Timeline()
    timeline.add(5, "dialed")
    assert timeline.events()[0]["ms"] is None
