"""What a resampler holds back is counted while it runs: samples in, samples out."""

from __future__ import annotations

import numpy as np
import pytest
import soxr

from media_plane.dsp.codec import Codecs, KernelCodecs
from media_plane.dsp.held_back import HeldBack, Metered
from media_plane.dsp.plain import PlainCodecs, SoxrResampler
from tests.support.codec_streams import Down, Up

NOISE = np.random.default_rng(1).integers(-8000, 8000, 60 * 24_000).astype(np.int16)


def run(codecs: Codecs, seconds: int) -> None:
    """A call: 20 ms frames up, 40 ms parts down."""
    up, down = Up(codecs), Down(codecs)
    ulaw, pcm = NOISE.view(np.uint8).tobytes(), NOISE.tobytes()
    for i in range(0, seconds * 8000, 160):
        up.send(ulaw[i : i + 160])
    for i in range(0, seconds * 48_000, 1920):
        down.send(pcm[i : i + 1920])


@pytest.mark.parametrize("codecs", [KernelCodecs(), PlainCodecs("fir")], ids=["kernel", "twin"])
def test_a_filter_alone_holds_nothing_back(codecs: Codecs) -> None:
    run(codecs, 2)
    assert codecs.held_back_ms == pytest.approx((0, 0), abs=1e-9)
    assert codecs.most_held_back_ms == pytest.approx((0, 0), abs=1e-9)


@pytest.mark.parametrize(
    ("name", "up_ms", "down_ms"),
    [("soxr-qq", (0, 1), (0, 1)), ("soxr-hq", (40, 90), (20, 70)), ("soxr-vhq", (40, 90), (50, 120))],
)
def test_soxr_s_delay_shows_while_it_runs(
    name: str, up_ms: tuple[float, float], down_ms: tuple[float, float]
) -> None:
    codecs = PlainCodecs(name)
    assert codecs.held_back_ms == (0, 0)
    run(codecs, 30)
    for (low, high), mean, most in zip(
        (up_ms, down_ms), codecs.held_back_ms, codecs.most_held_back_ms, strict=True
    ):
        assert low <= mean <= high
        assert mean <= most < 200


class Log(HeldBack):
    """Every observation."""

    def __init__(self) -> None:
        super().__init__()
        self.all_ms: list[float] = []

    def observe(self, held_ms: float) -> None:
        super().observe(held_ms)
        self.all_ms.append(held_ms)


@pytest.mark.parametrize("quality", ["QQ", "HQ", "VHQ"])
def test_the_count_agrees_with_soxr_s_own(quality: str) -> None:
    theirs = soxr.ResampleStream(8000, 16_000, 1, dtype="int16", quality=quality)
    held = Log()
    ours = Metered(SoxrResampler(8000, 16_000, quality), 8000, 16_000, held)
    told_ms = []
    for i in range(0, 16_000, 160):
        theirs.resample_chunk(NOISE[i : i + 160])
        ours.process(NOISE[i : i + 160])
        told_ms.append(theirs.delay() / 16)
    assert held.all_ms == pytest.approx(told_ms, abs=1e-6)
    assert held.most_ms == pytest.approx(max(told_ms))
    assert held.mean_ms == pytest.approx(np.mean(told_ms))


def test_a_reset_forgets_what_was_held_and_keeps_the_record() -> None:
    held = HeldBack()
    resampler = Metered(SoxrResampler(8000, 16000, "HQ"), 8000, 16000, held)
    resampler.process(NOISE[:160])
    assert held.most_ms == pytest.approx(20)
    resampler.reset()
    resampler.process(NOISE[:80])
    assert held.most_ms == pytest.approx(20)
    assert held.mean_ms == pytest.approx(15)
