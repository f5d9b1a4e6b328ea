"""The resampling filters do what their table says, and the kernels hold the same ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from media_plane.dsp import kernels, resample
from media_plane.dsp.design import lowpass
from media_plane.dsp.filters import (
    DOWN_DELAY_MS,
    PASS_HZ,
    STOP_HZ,
    UP_DELAY_MS,
    WIDE_DOWN_DELAY_MS,
    WIDE_PASS_HZ,
    WIDE_STOP_HZ,
    down_taps,
    up_taps,
    wide_down_taps,
)

CASES = [(up_taps() / 2, 16_000), (down_taps(), 24_000)]


def response_db(taps: npt.NDArray[np.float64], rate_hz: float, low_hz: float, high_hz: float) -> list[float]:
    f = np.linspace(low_hz, high_hz, 4001)
    gain = np.abs(np.exp(-2j * np.pi * f[:, None] / rate_hz * np.arange(len(taps))) @ taps)
    return [float(v) for v in 20 * np.log10(np.maximum(gain, 1e-9))]


@pytest.mark.parametrize(("taps", "rate_hz"), CASES)
def test_ripple_to_3400_hz_is_at_most_half_a_decibel(taps: npt.NDArray[np.float64], rate_hz: int) -> None:
    gain = response_db(taps, rate_hz, 0, PASS_HZ)
    assert max(gain) - min(gain) <= 0.5
    assert abs(gain[0]) <= 0.1


@pytest.mark.parametrize(("taps", "rate_hz"), CASES)
def test_images_and_aliases_past_4600_hz_are_60_decibels_down(
    taps: npt.NDArray[np.float64], rate_hz: int
) -> None:
    assert max(response_db(taps, rate_hz, STOP_HZ, rate_hz / 2)) <= -60


@pytest.mark.parametrize(("taps", "rate_hz"), CASES)
def test_linear_phase_with_at_most_two_milliseconds_of_delay(
    taps: npt.NDArray[np.float64], rate_hz: int
) -> None:
    assert np.allclose(taps, taps[::-1])
    delay_ms = (len(taps) - 1) / 2 / rate_hz * 1000
    assert delay_ms <= 2
    assert delay_ms == pytest.approx({16_000: UP_DELAY_MS, 24_000: DOWN_DELAY_MS}[rate_hz])


def test_the_kernels_hold_the_designed_coefficients() -> None:
    up, down = up_taps(), down_taps()
    assert np.allclose(kernels.UP_EVEN, up[0::2], atol=1e-6)
    assert np.count_nonzero(up[1::2]) == 1
    assert up[23] == 1.0
    assert np.allclose(kernels.DOWN_PHASES, down[::-1].reshape(20, 3).T, atol=1e-6)


def test_the_wideband_filter_keeps_what_speech_has_to_7_khz_and_lets_nothing_fold_onto_it() -> None:
    taps = wide_down_taps()
    gain = response_db(taps, 48_000, 0, WIDE_PASS_HZ)
    assert max(gain) - min(gain) <= 0.1
    assert max(response_db(taps, 48_000, WIDE_STOP_HZ, 24_000)) <= -70
    assert (len(taps) - 1) / 2 / 48 == pytest.approx(WIDE_DOWN_DELAY_MS)
    assert np.allclose(resample._WIDE, taps[::-1].reshape(28, 3).T, atol=1e-6)


def test_an_odd_number_of_taps_is_refused() -> None:
    with pytest.raises(ValueError, match="taps must be even"):
        lowpass(61, 24_000, PASS_HZ, STOP_HZ, np.ones_like, 1)
