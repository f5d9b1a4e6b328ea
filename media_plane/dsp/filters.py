"""The telephone legs' two resampling filters, and their coefficients in the order the kernels walk them.

| filter | type | taps | group delay | ripple to 3.4 kHz | rejection past 4.6 kHz |
|---|---|---|---|---|---|
| 8 → 16 kHz | half-band, minimax | 47 (24 a phase; the other phase is a pure delay) | 1.44 ms | 0.01 dB | 63 dB |
| 24 → 8 kHz | low-pass, minimax | 60 (20 a phase) | 1.23 ms | 0.12 dB | 64 dB |

3.4 kHz is where the telephone channel ends (G.712); 4.6 kHz is its mirror around 4 kHz, so what the transition
band lets through folds onto nothing a telephone carries.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from media_plane.dsp.design import halfband, lowpass

UP_BRANCH = 24  # taps of the 8→16 filter's non-trivial phase
DOWN_BRANCH = 20  # taps a phase of the 24→8 filter

UP_TAPS: NDArray[np.float64] = halfband(UP_BRANCH, 16000, 3400)
DOWN_TAPS: NDArray[np.float64] = lowpass(3 * DOWN_BRANCH, 24000, 3400, 4600, stop_weight=12)
DOWN_TAPS /= DOWN_TAPS.sum()  # unity at DC

# y[2n] = Σ_j UP_EVEN[j] x[n - 23 + j];  y[2n + 1] = x[n - UP_DELAY].  The factor 2 restores the level that
# inserting zeros halves.
UP_EVEN: NDArray[np.float32] = (2 * UP_TAPS[0::2])[::-1].astype(np.float32)
UP_DELAY = (UP_BRANCH - 2) // 2

# y[n] = Σ_p Σ_j DOWN_PHASES[p, j] x[3 (n - 19 + j) + p]
DOWN_PHASES: NDArray[np.float32] = np.ascontiguousarray(DOWN_TAPS[::-1].reshape(DOWN_BRANCH, 3).T).astype(
    np.float32
)

UP_DELAY_MS = (len(UP_TAPS) - 1) / 2 / 16
DOWN_DELAY_MS = (len(DOWN_TAPS) - 1) / 2 / 24
