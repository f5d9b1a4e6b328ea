from __future__ import annotations

from base64 import b64encode

import numpy as np
import pytest

from media_plane.dsp.codec import Codecs, KernelCodecs
from media_plane.dsp.g711 import compress
from media_plane.dsp.plain import PlainCodecs
from media_plane.dsp.speech import SpeechDetector

FRAME_NS = 20_000_000


class Line:
    """A caller's line, 20 ms a level."""

    def __init__(self) -> None:
        self.speech = SpeechDetector()
        self.now_ns = 1_000_000_000

    def carries(self, level: int, ms: int) -> None:
        for _ in range(ms // 20):
            self.now_ns += FRAME_NS
            self.speech.frame(level, FRAME_NS, self.now_ns)


def test_speech_is_timed_by_its_audible_frames_without_the_hangover() -> None:
    line = Line()
    line.carries(10, 500)
    began = line.now_ns
    line.carries(3000, 800)
    assert line.speech.speaking
    ended = line.now_ns
    line.carries(10, 1000)
    assert not line.speech.speaking
    assert (line.speech.started_ns, line.speech.stopped_ns) == (began, ended)


def test_a_pause_within_a_word_does_not_end_speech() -> None:
    line = Line()
    line.carries(10, 200)
    line.carries(3000, 400)
    began = line.speech.started_ns
    line.carries(10, 200)
    assert line.speech.speaking
    line.carries(3000, 400)
    assert line.speech.started_ns == began
    assert line.speech.stopped_ns == line.now_ns


def test_a_click_is_not_speech() -> None:
    line = Line()
    for _ in range(20):
        line.carries(8000, 20)
        line.carries(10, 300)
    assert line.speech.started_ns == 0
    assert not line.speech.speaking


def test_a_noisy_line_is_not_speech_but_somebody_louder_on_it_is() -> None:
    line = Line()
    line.carries(200, 60_000)
    line.speech.heard_out(line.now_ns)
    assert not line.speech.speaking
    before = line.now_ns
    line.carries(3000, 400)
    assert line.speech.started_ns == before


def test_somebody_who_speaks_without_a_pause_is_not_taken_for_noise() -> None:
    line = Line()
    line.carries(10, 200)
    line.carries(6000, 120_000)
    assert line.speech.speaking
    assert line.speech.stopped_ns == line.now_ns


def test_a_caller_who_speaks_from_the_first_frame_is_heard() -> None:
    line = Line()
    line.carries(2000, 200)
    assert line.speech.speaking


def test_what_was_dealt_with_is_not_the_beginning_of_what_comes_next() -> None:
    line = Line()
    line.carries(10, 200)
    first = line.now_ns
    line.carries(3000, 400)
    line.carries(10, 600)
    line.carries(3000, 400)
    assert line.speech.since_ns == first
    line.speech.heard_out(line.now_ns)
    assert line.speech.since_ns == 0
    line.carries(10, 600)
    again = line.now_ns
    line.carries(3000, 200)
    assert line.speech.since_ns == again


@pytest.mark.parametrize(
    "codecs", [KernelCodecs(), KernelCodecs(8000), PlainCodecs("fir")], ids=["16k", "8k", "twin"]
)
def test_an_uplink_hears_what_it_encodes(codecs: Codecs) -> None:
    up = codecs.uplink(b"")
    loud = b64encode(compress(np.full(160, 3000, np.int16)).tobytes())
    quiet = b64encode(b"\xff" * 160)
    for frame in range(1, 51):
        up.encode(loud if frame > 10 else quiet, 0, len(loud), frame * FRAME_NS)
        if frame == 20:
            up.expect(b"x", b"y")  # lays its memory out anew
    assert up.speech.speaking
    assert (up.speech.started_ns, up.speech.stopped_ns) == (10 * FRAME_NS, 50 * FRAME_NS)
    assert up.encode(b"!!!!", 0, 4, 51 * FRAME_NS) == -1
    assert up.speech.stopped_ns == 50 * FRAME_NS
