"""Finding the burst in a message as it came: base64 in, index of the first loud sample out.

The slow twins are `signal.onset_in_ulaw` and `signal.onset_in_pcm`, on decoded bytes.
"""

# numba types these functions, by inference of its own.
# mypy: disable-error-code="no-untyped-def, assignment"

from __future__ import annotations

from typing import Final

import numpy as np
from numba import types

from bench.load.jit import compiled
from bench.load.signal import LOUD, ulaw_table

_SEXTET = np.zeros(256, np.uint32)
for _value, _code in enumerate(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"):
    _SEXTET[_code] = _value
_SEXTET[ord("-")], _SEXTET[ord("_")] = 62, 63  # the URL-safe alphabet
_ULAW_IS_LOUD: Final = np.abs(ulaw_table().astype(np.int32)) >= LOUD
_LOUD: Final = LOUD

_text = types.Bytes(types.uint8, 1, "C", readonly=True)
_signature = types.int64(_text, types.int64, types.int64)


@compiled(_signature)
def onset_in_ulaw(message, start, end):
    """Index of the first loud sample in message[start:end], unpadded base64 of μ-law; -1: none."""
    for i in range((end - start) * 3 // 4):
        at = start + i // 3 * 4 + i % 3
        shift = 2 * (i % 3)
        code = (_SEXTET[message[at]] << (2 + shift) | _SEXTET[message[at + 1]] >> (4 - shift)) & 255
        if _ULAW_IS_LOUD[code]:
            return i
    return -1


@compiled(_signature)
def onset_in_pcm(message, start, end):
    """Index of the first loud sample in message[start:end], unpadded base64 of int16; -1: none."""
    for i in range((end - start) * 3 // 8):
        sample = 0
        for byte in range(2):
            k = 2 * i + byte
            at = start + k // 3 * 4 + k % 3
            shift = 2 * (k % 3)
            code = (_SEXTET[message[at]] << (2 + shift) | _SEXTET[message[at + 1]] >> (4 - shift)) & 255
            sample |= np.int64(code) << (8 * byte)
        if sample >= 32768:
            sample -= 65536
        if sample >= _LOUD or sample <= -_LOUD:
            return i
    return -1
