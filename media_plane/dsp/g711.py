"""G.711 μ-law, exactly as ITU-T G.191's reference software (STL `ulaw_compress`, `ulaw_expand`) computes it.

The two tables serve every path: kernels index them, the slow twin too. Linear samples are int16, of which
μ-law uses the upper 14 bits. At the 127 decision values of the negative half, implementations in the field
differ by one code (Sun's negates before it drops the two low bits, G.191 takes the one's complement); G.191
decides.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ULAW_SILENCE = 0xFF  # positive zero
_BIAS = 33  # moves every decision value onto a power-of-two segment (14-bit scale)


def _expand_table() -> NDArray[np.int16]:
    code = np.arange(256, dtype=np.int32)
    sign = np.where(code < 0x80, -1, 1)
    mantissa = ~code & 0x0F
    exponent = (~code >> 4) & 0x07
    magnitude = (0x80 << exponent) + (mantissa << (exponent + 3)) + (4 << exponent) - 4 * _BIAS
    table: NDArray[np.int16] = (sign * magnitude).astype(np.int16)
    return table


def _compress_table() -> NDArray[np.uint8]:
    linear14 = np.arange(-8192, 8192, dtype=np.int32)
    magnitude = np.minimum(np.where(linear14 < 0, ~linear14, linear14) + _BIAS, 0x1FFF)
    segment = 1 + np.floor(np.log2(np.maximum(magnitude >> 6, 0.5))).astype(np.int32) + 1
    high = 0x08 - segment
    low = 0x0F - ((magnitude >> segment) & 0x0F)
    table: NDArray[np.uint8] = ((high << 4) | low | np.where(linear14 >= 0, 0x80, 0)).astype(np.uint8)
    return table


ULAW_TO_PCM: NDArray[np.int16] = _expand_table()  # [256], index: μ-law code
PCM14_TO_ULAW: NDArray[np.uint8] = _compress_table()  # [16384], index: (sample >> 2) + 8192


def expand(ulaw: NDArray[np.uint8]) -> NDArray[np.int16]:
    """μ-law codes → int16 samples, same shape. Allocates."""
    return ULAW_TO_PCM[ulaw]


def compress(pcm: NDArray[np.int16]) -> NDArray[np.uint8]:
    """int16 samples → μ-law codes, same shape. Allocates."""
    codes: NDArray[np.uint8] = PCM14_TO_ULAW[(pcm.astype(np.int32) >> 2) + 8192]
    return codes


def mean_level(ulaw: bytes) -> int:
    """Mean absolute amplitude of μ-law codes, 0 to 32124; 0 of nothing. Allocates: off the frame path."""
    if not ulaw:
        return 0
    return int(np.abs(expand(np.frombuffer(ulaw, np.uint8)).astype(np.int32)).mean())
