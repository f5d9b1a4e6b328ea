"""FIR design in plain numpy: linear-phase low-passes with the least worst-case error (Lawson's method).

Weighted least squares is solved again and again, each time with more weight where the error was largest; the
errors of pass band and stop band level out, which is the equiripple (minimax) filter. Deterministic.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 40  # the worst error moves by less than 0.1 dB after 30
_GRID = 480  # frequencies the error is looked at; about 16 a ripple for the longest filter here


def _minimax(
    basis: NDArray[np.float64], wanted: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    emphasis: NDArray[np.floating] = np.ones_like(wanted)
    coefficients: NDArray[np.float64] = np.zeros(basis.shape[1])
    for _ in range(_ROUNDS):
        w = np.sqrt(emphasis) * weight
        coefficients = np.linalg.lstsq(basis * w[:, None], wanted * w, rcond=None)[0]
        emphasis *= np.abs(basis @ coefficients - wanted) * weight
        emphasis = np.maximum(emphasis / emphasis.max(), 1e-12)
    return coefficients


def lowpass(
    taps: int,
    rate_hz: float,
    pass_hz: float,
    stop_hz: float,
    pass_weight: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    stop_weight: float,
) -> NDArray[np.float64]:
    """An even number of taps, gain 1 up to `pass_hz`, gain 0 from `stop_hz` on.

    `pass_weight`: Hz → how much an error there counts; one past `stop_hz` counts `stop_weight`.
    Returns `taps` coefficients, symmetric; group delay (taps - 1) / 2 samples.
    """
    if taps % 2:
        raise ValueError("lowpass: taps must be even")
    f = np.concatenate([np.linspace(0, pass_hz, _GRID // 3), np.linspace(stop_hz, rate_hz / 2, _GRID)])
    passband = f <= pass_hz
    basis = 2 * np.cos(2 * np.pi * f[:, None] / rate_hz * (np.arange(taps // 2) + 0.5))
    half = _minimax(basis, passband.astype(np.float64), np.where(passband, pass_weight(f), stop_weight))
    return np.concatenate([half[::-1], half])


def halfband(branch_taps: int, rate_hz: float, pass_hz: float) -> NDArray[np.float64]:
    """The half-band low-pass around rate/4 whose non-trivial polyphase branch has `branch_taps` taps.

    Every second coefficient of the 2 * branch_taps - 1 is zero but for the 0.5 in the middle; ripple in the
    pass band and rejection past rate/2 - pass_hz are the same number. Group delay branch_taps - 1 samples.
    """
    f = np.linspace(0, pass_hz, _GRID)
    k = np.arange(branch_taps // 2) * 2 + 1
    half = _minimax(2 * np.cos(2 * np.pi * f[:, None] / rate_hz * k), np.full(_GRID, 0.5), np.ones(_GRID))
    h = np.zeros(2 * branch_taps - 1)
    middle = branch_taps - 1
    h[middle] = 0.5
    h[middle + k] = half
    h[middle - k] = half
    return h
