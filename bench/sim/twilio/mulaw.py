"""G.711 μ-law by table (ITU-T G.711, table 2a), 8 kHz telephone audio.

`encode`: int16 array of any length -> uint8 bytes of the same length. `decode`: bytes -> int16 array.
Full scale is 16 bits: G.711's 14-bit values times four. Silence is 0xFF.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 8000  # samples a second
FRAME = 160  # samples in 20 ms
NS_PER_SAMPLE = 125_000
SILENCE = 0xFF
SILENT_FRAME = bytes([SILENCE]) * FRAME


def _decode_table() -> NDArray[np.int16]:
    """Value of each of the 256 codes: bits are sent inverted; sign, 3-bit segment, 4-bit step."""
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    segment, step = (code >> 4) & 7, code & 15
    magnitude = (((step << 3) + 132) << segment) - 132
    value = np.where(code & 0x80, -magnitude, magnitude)
    return np.asarray(value, dtype=np.int16)


def _encode_table() -> NDArray[np.uint8]:
    """Code of each int16, indexed by its bits read as uint16."""
    value = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)
    biased = np.minimum(np.abs(value), 32635) + 132  # 32635: the largest magnitude that has a code
    segment = np.floor(np.log2(biased)).astype(np.int32) - 7
    step = (biased >> (segment + 3)) & 15
    sign = np.where(value < 0, 0x80, 0)
    return np.asarray(~(sign | (segment << 4) | step) & 0xFF, dtype=np.uint8)


DECODE = _decode_table()  # int16[256]
ENCODE = _encode_table()  # uint8[65536]
POWER = (DECODE.astype(np.float32)) ** 2  # float32[256]: squared sample, for loudness


def encode(pcm: NDArray[np.int16]) -> bytes:
    """int16[n] at 8 kHz -> n bytes of μ-law."""
    return ENCODE[np.ascontiguousarray(pcm, dtype=np.int16).view(np.uint16)].tobytes()


def decode(ulaw: bytes | bytearray | memoryview) -> NDArray[np.int16]:
    """n bytes of μ-law -> int16[n] at 8 kHz, freshly allocated."""
    return DECODE[np.frombuffer(ulaw, dtype=np.uint8)]
