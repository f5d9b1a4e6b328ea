"""Onsets and ends, on tones at known samples."""

from __future__ import annotations

import numpy as np
import pytest

from bench.sim.twilio import mulaw
from bench.sim.twilio.listening import Bound, Listener


def tone(samples: int, amplitude: float) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * 440 * np.arange(samples) / 8000)).astype(np.int16)


def bounds(pcm: np.ndarray) -> list[Bound]:
    ulaw = mulaw.encode(pcm)
    listener = Listener()
    found = [b for i in range(0, len(ulaw), 160) for b in listener.hear(ulaw[i : i + 160])]
    return found + listener.end()


@pytest.mark.parametrize("begins", [0, 160, 1000, 1037, 1599])
@pytest.mark.parametrize("amplitude", [600, 20000])
def test_a_tone_is_bounded_to_within_20_ms(begins: int, amplitude: int) -> None:
    pcm = np.zeros(16000, np.int16)
    pcm[begins : begins + 4000] = tone(4000, amplitude)
    on, off = bounds(pcm)
    assert (on.audible, off.audible) == (True, False)
    assert abs(on.sample - begins) <= 160
    assert abs(off.sample - (begins + 4000)) <= 160


def test_quiet_shorter_than_300_ms_is_part_of_speech() -> None:
    pcm = np.zeros(16000, np.int16)
    pcm[800:2400] = tone(1600, 8000)
    pcm[4000:5600] = tone(1600, 8000)  # 200 ms after
    assert len(bounds(pcm)) == 2
    pcm[4000:5600] = 0
    pcm[5600:7200] = tone(1600, 8000)  # 400 ms after
    assert len(bounds(pcm)) == 4


def test_a_click_is_no_speech() -> None:
    pcm = np.zeros(8000, np.int16)
    pcm[1000:1020] = 30000
    assert bounds(pcm) == []


def test_idle_noise_is_no_speech() -> None:
    noise = np.random.default_rng(1).normal(0, 40, 16000).astype(np.int16)
    assert bounds(noise) == []


def test_a_channel_that_ends_audible_stops_where_it_was_loud() -> None:
    pcm = np.zeros(1600, np.int16)
    pcm[800:] = tone(800, 8000)
    assert bounds(pcm)[-1] == Bound(False, 1600)
