"""What a resampler does to each frequency, measured by running it on sound.

The sound is periodic and holds every frequency of a grid at equal strength and random phase. Once a filter
has seen a whole period, its output is periodic too, and the ratio of the two spectra is its response, exactly
but for the rounding to 16 bits, which lies about 85 dB below the sound. A resampler to a lower rate hears one
band at a time, so that what folds onto a frequency can be told from what belongs there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.int16]
Process = Callable[[Pcm], NDArray[Any]]

PERIOD_S: Final = 0.15  # of the sound: a grid of 6.7 Hz
_PERIODS: Final = 8
_LISTEN_FROM: Final = 2  # by then every filter here is full
_RMS: Final = 5000
_AUDIBLE_HZ: Final = 50  # below, a telephone carries nothing


@dataclass(frozen=True)
class Response:
    """`gain` complex[n] at `hz` float64[n], from the output's time axis: its phase holds the filter's delay.

    Past half the lower of both rates, `hz` is where an image appears, or what folds as an alias.
    """

    hz: NDArray[np.float64]
    gain: NDArray[np.complex128]

    @property
    def db(self) -> NDArray[np.float64]:
        level: NDArray[np.float64] = 20 * np.log10(np.maximum(np.abs(self.gain), 1e-6))
        return level

    def ripple_db(self, to_hz: float) -> float:
        """Between the loudest and the softest frequency up to `to_hz`."""
        return float(np.ptp(self.db[(self.hz >= _AUDIBLE_HZ) & (self.hz <= to_hz)]))

    def edge_hz(self, at_db: float = -0.5) -> float:
        """The first frequency softer than `at_db`."""
        below = self.db < at_db
        below[self.hz < _AUDIBLE_HZ] = False
        return float(self.hz[np.argmax(below)]) if below.any() else float(self.hz[-1])

    def rejection_db(self, from_hz: float) -> float:
        """How far the loudest image or alias past `from_hz` is down."""
        return float(-self.db[self.hz >= from_hz].max())

    def delay_ms(self, to_hz: float) -> float:
        """The mean group delay up to `to_hz`."""
        hz, delay = self.group_delay()
        return float(delay[(hz >= _AUDIBLE_HZ) & (hz <= to_hz)].mean())

    def group_delay(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(Hz, ms): minus the slope of the phase, over steps of some 50 Hz to keep rounding out of it."""
        step = 8
        turn = np.angle(self.gain[step:] * np.conj(self.gain[:-step]))
        delay = -turn / (2 * np.pi * (self.hz[step:] - self.hz[:-step])) * 1000
        return (self.hz[step:] + self.hz[:-step]) / 2, delay


def measure(
    process: Process,
    rate_in: int,
    rate_out: int,
    chunk: int,
    carried: Callable[[Pcm], Pcm] = lambda pcm: pcm,
) -> Response:
    """Run a fresh resampler on the sound, `chunk` samples a call. The rates' ratio is a whole number.

    `carried`: the sound as the wire before a resampler to a higher rate carries it, μ-law for one.
    """
    if rate_out >= rate_in:
        return _raised(process, rate_in, rate_out, chunk, carried)
    return _lowered(process, rate_in, rate_out, chunk)


def _raised(
    process: Process, rate_in: int, rate_out: int, chunk: int, carried: Callable[[Pcm], Pcm]
) -> Response:
    period = round(rate_in * PERIOD_S)
    ratio = rate_out // rate_in
    sound = carried(_sound(np.arange(1, (period + 1) // 2), period))
    given = np.fft.fft(sound)
    heard = np.fft.rfft(_period_of(process, sound, period * ratio, chunk))
    k = np.arange(heard.size)
    k = k[(2 * k) % period != 0]  # neither 0 Hz, nor half the rate, nor their images
    return Response(k / PERIOD_S, heard[k] / given[k % period] / ratio)


def _lowered(process: Process, rate_in: int, rate_out: int, chunk: int) -> Response:
    period = round(rate_in * PERIOD_S)
    ratio = rate_in // rate_out
    short = period // ratio
    bins, gains = [], []
    for band in range(ratio):
        k = np.arange(band * short // 2 + 1, (band + 1) * short // 2)
        sound = _sound(k, period)
        heard = np.fft.fft(_period_of(process, sound, short, chunk))
        bins.append(k)
        gains.append(ratio * heard[k % short] / np.fft.fft(sound)[k])
    return Response(np.concatenate(bins) / PERIOD_S, np.concatenate(gains))


def _sound(bins: NDArray[np.int64], period: int) -> Pcm:
    spectrum = np.zeros(period // 2 + 1, np.complex128)
    spectrum[bins] = np.exp(2j * np.pi * np.random.default_rng(1).random(len(bins)))
    wave = np.fft.irfft(spectrum, period)
    sound: Pcm = np.round(wave * (_RMS / wave.std())).astype(np.int16)
    return sound


def _period_of(process: Process, sound: Pcm, period_out: int, chunk: int) -> NDArray[np.float64]:
    """One period of the output, as late as the sound's own would be: what a resampler holds back is its
    affair."""
    played = np.tile(sound, _PERIODS)
    heard = np.concatenate([process(played[i : i + chunk]).copy() for i in range(0, len(played), chunk)])
    begin = _LISTEN_FROM * period_out
    if len(heard) < begin + period_out:
        raise ValueError("the resampler gave out less than half of what it took in")
    return heard[begin : begin + period_out].astype(np.float64)
