"""How the resampling filters are made, and what they do.

| filter | type | taps | group delay | ripple to 3.4 kHz | rejection past 4.6 kHz |
|---|---|---|---|---|---|
| 8 → 16 kHz | half-band, minimax | 47: 24 in one phase, the other only delays | 1.44 ms | 0.01 dB | 63 dB |
| 24 → 8 kHz | low-pass, minimax | 60: 20 a phase | 1.23 ms | 0.13 dB | 64 dB |

| the browser leg's | type | taps | group delay | ripple | rejection |
|---|---|---|---|---|---|
| 48 → 16 kHz | low-pass, minimax | 84: 28 a phase | 0.86 ms | 0.05 dB to 7 kHz | 72 dB past 9 kHz |
| 24 → 48 kHz | half-band, as 8 → 16 kHz | 47 | 0.48 ms | 0.01 dB to 10.2 kHz | 63 dB past 13.8 kHz |
| 16 → 8 kHz | half-band, as 8 → 16 kHz | 47 | 1.44 ms | 0.01 dB to 3.4 kHz | 63 dB past 4.6 kHz |

The low-passes are made four times stricter up to 1 kHz than from 3 kHz on: speech has most of its power
there, and a gain 0.06 dB off is an error 43 dB under it, hardly less than μ-law's own noise at 37.

3.4 kHz is where the telephone channel ends (ITU-T G.712); 4.6 kHz is its mirror around 4 kHz, so what the
transition band lets through folds onto nothing a telephone carries. 7 kHz is where wideband speech ends
(ITU-T G.722), 9 kHz its mirror around 8 kHz. The kernels hold these coefficients as literals, rounded to
eight digits; the slow twins take them from here.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from media_plane.dsp.design import halfband, lowpass

PASS_HZ, STOP_HZ = 3400, 4600
WIDE_PASS_HZ, WIDE_STOP_HZ = 7000, 9000
UP_DELAY_MS = 23 / 16
DOWN_DELAY_MS = 29.5 / 24
WIDE_DOWN_DELAY_MS = 41.5 / 48


@cache
def up_taps() -> NDArray[np.float64]:
    """8 → 16 kHz, float64[47], to be run at 16 kHz over samples with zeros between them: gain 2."""
    return _fixed(2 * halfband(24, 16000, PASS_HZ))


@cache
def down_taps() -> NDArray[np.float64]:
    """24 → 8 kHz, float64[60], to be run at 24 kHz; every third output is kept."""
    return _fixed(lowpass(60, 24000, PASS_HZ, STOP_HZ, _speech, stop_weight=12))


@cache
def wide_down_taps() -> NDArray[np.float64]:
    """48 → 16 kHz, float64[84], to be run at 48 kHz; every third output is kept."""
    return _fixed(lowpass(84, 48000, WIDE_PASS_HZ, WIDE_STOP_HZ, _speech, stop_weight=12))


def _fixed(taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Everybody gets the same array: nobody may write to it."""
    taps.flags.writeable = False
    return taps


def _speech(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    weight: NDArray[np.float64] = np.interp(hz, [1000, 3000], [4, 1])
    return weight
