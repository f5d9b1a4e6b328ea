"""Caller audio that says where it belongs, so that what a conversation has heard can be counted by the ms.

Eight samples are a group: one that begins it, six hexadecimal digits of its number, one that ends it. The
samples are seventeen values that μ-law carries unchanged, all of them loud, so that a detector takes it for
speech. What is not in groups is silence.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

GROUP: Final = 8  # samples at 8 kHz: 1 ms
_DIGITS: Final = 6
_BEGIN: Final = 0x20  # μ-law
_FIRST: Final = 0x10  # of sixteen


def _expand(code: int) -> int:
    """One μ-law code as a linear sample (ITU-T G.711)."""
    code = ~code & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -magnitude if code & 0x80 else magnitude


_VALUES: Final = {_expand(_FIRST + digit): digit for digit in range(16)}
_BEGINS: Final = _expand(_BEGIN)


def ulaw(first: int, count: int) -> bytes:
    """`count` groups, numbered from `first`, as μ-law."""
    parts = bytearray()
    for number in range(first, first + count):
        parts.append(_BEGIN)
        parts += bytes(_FIRST + (number >> 4 * place & 15) for place in range(_DIGITS - 1, -1, -1))
        parts.append(_FIRST)
    return bytes(parts)


class Reader:
    """Finds groups in PCM at 8 kHz, wherever a chunk begins."""

    def __init__(self) -> None:
        self._rest: npt.NDArray[np.int16] = np.zeros(0, np.int16)

    def read(self, pcm: npt.NDArray[np.int16]) -> list[int]:
        """The numbers of the groups that are whole by now, in order."""
        samples = np.concatenate((self._rest, pcm))
        found: list[int] = []
        at = 0
        begins = np.flatnonzero(samples == _BEGINS)
        for begin in begins.tolist():
            if begin < at or begin + GROUP > samples.size:
                continue
            digits = [_VALUES.get(value) for value in samples[begin + 1 : begin + GROUP].tolist()]
            if None in digits:
                continue
            number = 0
            for digit in digits[:_DIGITS]:
                number = number << 4 | (digit or 0)
            found.append(number)
            at = begin + GROUP
        self._rest = samples[max(at, samples.size - GROUP + 1) :]
        return found


def add(ranges: list[list[int]], numbers: list[int]) -> None:
    """Append numbers to ranges [first, last], in the order in which they came."""
    for number in numbers:
        if ranges and ranges[-1][1] + 1 == number:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
