"""Both live chains on real speech, beside an ideal offline chain.

A telephone's μ-law leaves noise some 37 dB under speech whatever the resampler. The question is how much a
short filter, float32 and rounding add to that. For each direction there is one *reference*, the speech
without μ-law through brick-wall filters over the whole file (a resampler that nobody can run live); an
*ideal* chain, the same brick walls with μ-law; and ours, with μ-law and the live kernel. Each one's SNR is
the reference's power over the power of its difference from the reference. "Within 0.5 dB" says
SNR(ours) ≥ SNR(ideal) - 0.5 dB: our filter may cost no more than that beside μ-law itself.

Times are aligned by the filter's group delay, exactly, in the frequency domain. Caller's speech is limited to
3.4 kHz before μ-law, as the telephone network does, and everything up to 8 kHz that comes out counts, images
too. Model's speech is not limited, and what arrives is judged up to 3.4 kHz, where the telephone network
cuts: aliases that fold there count.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from media_plane.dsp.codec import Codecs, KernelCodecs
from media_plane.dsp.filters import DOWN_DELAY_MS, PASS_HZ, UP_DELAY_MS
from media_plane.dsp.g711 import compress, expand
from media_plane.dsp.plain import PlainCodecs
from tests.support.codec_streams import Down, Pcm, Up

AUDIO = Path(__file__).parents[4] / "bench" / "audio"
FILES = sorted(AUDIO.glob("*.wav"))
CODECS = [KernelCodecs(), PlainCodecs("fir")]

Signal = npt.NDArray[np.float64]


def speech() -> Signal:
    """All the recordings in a row, 16 kHz; whole periods of every rate used here."""
    parts = []
    for path in FILES:
        with wave.open(str(path)) as recording:
            assert (recording.getframerate(), recording.getnchannels()) == (16_000, 1)
            parts.append(np.frombuffer(recording.readframes(recording.getnframes()), "<i2"))
    whole = np.concatenate(parts).astype(np.float64)
    return whole[: len(whole) // 1600 * 1600]


def brick_wall(signal: Signal, rate_in: int, rate_out: int, to_hz: float, late_s: float = 0) -> Signal:
    """`signal` at another rate, without what is past `to_hz`, `late_s` later: over the whole file at once."""
    samples = len(signal) * rate_out // rate_in
    spectrum = np.fft.rfft(signal)
    hz = np.arange(len(spectrum)) * rate_in / len(signal)
    spectrum = np.where(hz < to_hz, spectrum * np.exp(-2j * np.pi * hz * late_s), 0)
    bins = np.zeros(samples // 2 + 1, np.complex128)
    kept = min(len(bins), len(spectrum))
    bins[:kept] = spectrum[:kept]
    return np.fft.irfft(bins, samples) * rate_out / rate_in


def rounded(signal: Signal) -> Pcm:
    return np.round(np.clip(signal, -32_768, 32_767)).astype(np.int16)


def snr_db(heard: Signal, reference: Signal, rate: int, to_hz: float) -> float:
    edge = rate // 10  # the first and the last 100 ms: the file has ends there, a call has not
    error = brick_wall(heard - reference, rate, rate, to_hz)[edge:-edge]
    return float(10 * np.log10((reference[edge:-edge] ** 2).sum() / (error**2).sum()))


def through_up(codecs: Codecs, pcm8k: Pcm) -> Signal:
    up, ulaw = Up(codecs), compress(pcm8k).tobytes()
    return np.concatenate([up.send(ulaw[i : i + 160]) for i in range(0, len(ulaw), 160)]).astype(np.float64)


def through_down(codecs: Codecs, pcm24k: Pcm) -> Signal:
    down, pcm = Down(codecs), pcm24k.tobytes()
    ulaw = b"".join(down.send(pcm[i : i + 1920]) for i in range(0, len(pcm), 1920))
    return expand(np.frombuffer(ulaw, np.uint8)).astype(np.float64)


@pytest.mark.parametrize("codecs", CODECS, ids=["kernel", "twin"])
def test_a_caller_s_speech_reaches_the_model_as_well_as_mu_law_allows(codecs: Codecs) -> None:
    telephone = rounded(brick_wall(speech(), 16_000, 8000, PASS_HZ))
    late_s = UP_DELAY_MS / 1000
    reference = brick_wall(telephone.astype(np.float64), 8000, 16_000, 4000, late_s)
    ideal = brick_wall(expand(compress(telephone)).astype(np.float64), 8000, 16_000, 4000, late_s)
    ideal_db = snr_db(ideal, reference, 16_000, 8000)
    ours_db = snr_db(through_up(codecs, telephone), reference, 16_000, 8000)
    assert 30 < ideal_db < 42  # what μ-law leaves
    assert ours_db >= ideal_db - 0.5


@pytest.mark.parametrize("codecs", CODECS, ids=["kernel", "twin"])
def test_the_model_s_speech_reaches_the_caller_as_well_as_mu_law_allows(codecs: Codecs) -> None:
    spoken = rounded(brick_wall(speech(), 16_000, 24_000, 8000))
    late_s = (DOWN_DELAY_MS - 2 / 24) / 1000
    full = brick_wall(spoken.astype(np.float64), 24_000, 8000, 4000, late_s)
    reference = brick_wall(full, 8000, 8000, PASS_HZ)
    ideal_db = snr_db(expand(compress(rounded(full))).astype(np.float64), reference, 8000, PASS_HZ)
    ours_db = snr_db(through_down(codecs, spoken), reference, 8000, PASS_HZ)
    assert 30 < ideal_db < 42
    assert ours_db >= ideal_db - 0.5
