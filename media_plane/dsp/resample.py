"""PCM → PCM in exact ratios, allocating no audio: for a browser's leg and for recordings.

| from → to | for | filter |
|---|---|---|
| 48 → 16 kHz | a browser's microphone, to the model | `filters.wide_down_taps` |
| 24 → 48 kHz | the model, to a browser | half-band, as 8 → 16 kHz |
| 16 → 8 kHz | a recording of a wideband leg at the telephone's rate | half-band |
| 8 → 16 kHz | a recording of a telephone leg at a wideband rate | half-band |
| 24 → 8 kHz | the model, where μ-law is not what is wanted | as the telephone's |

A half-band filter scales with its rates: the one that passes 3.4 kHz and stops 4.6 kHz at 8 → 16 kHz passes
10.2 kHz and stops 13.8 kHz at 24 → 48 kHz.

Coefficients reach the kernels as arguments, so that numba's disk cache, which looks at this file alone, never
holds stale ones.
"""

# numba types these functions, by inference of its own; to mypy they would all be numpy scalars.
# mypy: disable-error-code="no-untyped-def, assignment, operator"

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from media_plane.dsp.jit import kernel
from media_plane.dsp.kernels import DOWN_PHASES, UP_EVEN

Pcm = NDArray[np.int16]
Floats = NDArray[np.float32]

MAX_SAMPLES: Final = 5760  # in a call of `process`: 120 ms at 48 kHz, the longest Opus packet

# 48→16 kHz, as `kernels._DOWN_HALF`: half of a symmetric row.
_WIDE_HALF = (
    *(-0.00014929342, 9.6202681e-05, 0.00048499921, 0.00076179938, 0.00046422343, -0.00045154771),
    *(-0.0013065102, -0.0011501996, 0.00023225743, 0.0017549294, 0.001781109, -0.00019458051),
    *(-0.0025788817, -0.0028086183, 4.1728189e-05, 0.0037115133, 0.0043601603, 0.00042447663),
    *(-0.0050017927, -0.0063521796, -0.0011064702, 0.0066439692, 0.0090394536, 0.0021522735),
    *(-0.008752049, -0.01275056, -0.0038179475, 0.011442276, 0.017937667, 0.0063983161),
    *(-0.015153341, -0.025726049, -0.010649715, 0.020921159, 0.039065785, 0.018769782),
    *(-0.03198249, -0.068667103, -0.040270332, 0.067506618, 0.21150476, 0.31372864),
)

_LOW, _HIGH, _HALF = np.float32(-32768), np.float32(32767), np.float32(32768.5)
_ZERO = np.float32(0)

_pcm_in = types.Array(types.int16, 1, "C", readonly=True)
_floats = types.float32[::1]
_signature = types.int64(_pcm_in, types.float32[:, ::1], _floats, _floats, types.int16[::1])


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def _convolve(row, x, out, n):
    """out[i] += Σ_j row[j] x[i + j], four taps a pass: each pass is plain vector code whatever the row's
    length."""
    taps = row.size
    for j in range(0, taps - taps % 4, 4):
        a, b, c, d = row[j], row[j + 1], row[j + 2], row[j + 3]
        xa, xb, xc, xd = x[j : j + n], x[j + 1 : j + 1 + n], x[j + 2 : j + 2 + n], x[j + 3 : j + 3 + n]
        for i in range(n):
            out[i] += a * xa[i] + b * xb[i] + c * xc[i] + d * xd[i]
    for j in range(taps - taps % 4, taps):
        a = row[j]
        xa = x[j : j + n]
        for i in range(n):
            out[i] += a * xa[i]


@njit(nogil=True, fastmath={"contract"}, error_model="numpy")
def _round(y):
    """To the nearest sample, half up; what is too loud is clipped."""
    # The operand of the conversion is made positive, where truncation is floor.
    return np.int32(min(max(y, _LOW), _HIGH) + _HALF) - 32768


@kernel(_signature)
def double(pcm, rows, state, work, out):
    """Twice the rate by a half-band filter: out[2i] is filtered, out[2i + 1] an old sample as it was.

    `rows` [1, b]: the branch that filters; `state` [b - 1]: the samples before these; `out` [≥ 2 len(pcm)].
    Returns how many samples are in `out`.
    """
    n = pcm.size
    branch = rows.shape[1]
    kept = branch - 1
    x = work[: kept + n]
    y = work[kept + n : kept + 2 * n]
    for i in range(kept):
        x[i] = state[i]
    for i in range(n):
        x[kept + i] = pcm[i]
        y[i] = _ZERO
    _convolve(rows[0], x, y, n)
    delayed = x[kept - (branch - 2) // 2 :]
    for i in range(n):
        out[2 * i] = _round(y[i])
        out[2 * i + 1] = np.int32(delayed[i])
    for i in range(kept):
        state[i] = x[n + i]
    return 2 * n


@kernel(_signature)
def reduce(pcm, rows, state, work, out):
    """One sample of every `p`, filtered by `p` phases.

    `rows` [p, b]: row k filters x[p i + k]. `state` [p (b - 1) + p]: the samples before these, those of an
    output that is not whole last; its last element is their number. `out` [≥ (len(pcm) + p - 1) / p].
    Returns how many samples are in `out`.
    """
    phases, branch = rows.shape
    kept = phases * (branch - 1)
    carried = np.int64(state[kept + phases - 1])
    n = (carried + pcm.size) // phases
    row = branch - 1 + n
    x = work[: kept + carried + pcm.size]
    y = work[x.size : x.size + n]
    split = work[x.size + n : x.size + n + row]
    for i in range(kept + carried):
        x[i] = state[i]
    for i in range(pcm.size):
        x[kept + carried + i] = pcm[i]
    for i in range(n):
        y[i] = _ZERO
    for phase in range(phases):
        for i in range(row):
            split[i] = x[phases * i + phase]
        _convolve(rows[phase], split, y, n)
    for i in range(n):
        out[i] = _round(y[i])
    left = carried + pcm.size - phases * n
    for i in range(kept + left):
        state[i] = x[phases * n + i]
    state[kept + phases - 1] = left
    return n


class Workspace:
    """The scratch memory of any number of resamplers used in turn, and the room for what they give out."""

    def __init__(self) -> None:
        self.floats: Floats = np.zeros(3 * MAX_SAMPLES + 256, np.float32)
        self.out: Pcm = np.zeros(2 * MAX_SAMPLES, np.int16)


class PcmResampler:
    """One stream. What it gives out is a view, valid until the next `process` of its workspace."""

    __slots__ = ("_kernel", "_rows", "_state", "_work")

    def __init__(self, rate_in: int, rate_out: int, work: Workspace | None = None) -> None:
        """Raises ValueError for rates that are not in the module's table."""
        if (rate_in, rate_out) not in _ROWS:
            raise ValueError(f"no resampler from {rate_in} to {rate_out} Hz")
        self._rows = _ROWS[rate_in, rate_out]
        self._work = work or Workspace()
        self._kernel = double if rate_out > rate_in else reduce
        phases, branch = self._rows.shape
        self._state: Floats = np.zeros(phases * branch, np.float32)

    def process(self, pcm: Pcm) -> Pcm:
        """int16[n] → int16[m]: every sample that is whole by now; any n from 0 to MAX_SAMPLES.

        Raises:
            ValueError: `pcm` is longer than MAX_SAMPLES; nothing has changed.
        """
        if len(pcm) > MAX_SAMPLES:
            raise ValueError(f"more than {MAX_SAMPLES} samples at once")
        work = self._work
        return work.out[: self._kernel(pcm, self._rows, self._state, work.floats, work.out)]

    def reset(self) -> None:
        """Forget the audio so far."""
        self._state[:] = 0


def _halving_rows() -> Floats:
    """The half-band filter as two phases: one filters, the other only delays."""
    rows = np.zeros((2, len(UP_EVEN)), np.float32)
    rows[0, len(UP_EVEN) // 2] = 0.5
    rows[1] = UP_EVEN / 2
    return rows


_DOUBLING = UP_EVEN.reshape(1, -1)
_HALVING = _halving_rows()
_WIDE = np.ascontiguousarray(np.array(_WIDE_HALF + _WIDE_HALF[::-1], np.float32).reshape(-1, 3).T)
_ROWS: dict[tuple[int, int], Floats] = {
    (8000, 16000): _DOUBLING,
    (24000, 48000): _DOUBLING,
    (16000, 8000): _HALVING,
    (24000, 8000): DOWN_PHASES,
    (48000, 16000): _WIDE,
}
RATES: Final = tuple(_ROWS)
