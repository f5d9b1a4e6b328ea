"""How the telephone legs' two resampling filters are made, and what they do.

| filter | type | taps | group delay | ripple to 3.4 kHz | rejection past 4.6 kHz |
|---|---|---|---|---|---|
| 8 → 16 kHz | half-band, minimax | 47: 24 in one phase, the other only delays | 1.44 ms | 0.01 dB | 63 dB |
| 24 → 8 kHz | low-pass, minimax | 60: 20 a phase | 1.23 ms | 0.12 dB | 64 dB |

3.4 kHz is where the telephone channel ends (ITU-T G.712); 4.6 kHz is its mirror around 4 kHz, so what the
transition band lets through folds onto nothing a telephone carries. The kernels hold these coefficients as
literals, rounded to eight digits; the slow twins take them from here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from media_plane.dsp.design import halfband, lowpass

PASS_HZ, STOP_HZ = 3400, 4600
UP_DELAY_MS = 23 / 16
DOWN_DELAY_MS = 29.5 / 24


def up_taps() -> NDArray[np.float64]:
    """8 → 16 kHz, float64[47], to be run at 16 kHz over samples with zeros between them: gain 2."""
    return 2 * halfband(24, 16000, PASS_HZ)


def down_taps() -> NDArray[np.float64]:
    """24 → 8 kHz, float64[60], to be run at 24 kHz; every third output is kept. Gain 1 at 0 Hz."""
    taps = lowpass(60, 24000, PASS_HZ, STOP_HZ, stop_weight=12)
    taps /= taps.sum()
    return taps
