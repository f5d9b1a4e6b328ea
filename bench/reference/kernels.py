"""The relay's two fused kernels, and the plain table look-up that kernels are compared with.

Apart from the product's on purpose: a yardstick that changed with what it measures would hide a regression.
"""

from __future__ import annotations

import base64
from typing import Final

import numba
import numpy as np
from numpy.typing import NDArray

from bench.load.signal import ulaw_encode, ulaw_table

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

ALPHABET: Final = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", np.uint8)
SEXTET: Final = np.zeros(256, np.uint8)
SEXTET[ALPHABET] = np.arange(64, dtype=np.uint8)
# 12 bits -> their two characters, the first in the low byte
PAIRS: Final = np.array(
    [ALPHABET[i >> 6] | ALPHABET[i & 63].astype(np.uint16) << 8 for i in range(4096)], np.uint16
)
TO_PCM: Final = ulaw_table()
TO_ULAW: Final = ulaw_encode(np.arange(-32768, 32768).astype(np.int16))  # index: sample + 32768


def _low_pass(taps: int, cutoff: float, gain: float) -> Floats:
    """float32[taps]: windowed sinc, linear phase; `cutoff` in cycles per sample."""
    n = np.arange(taps) - (taps - 1) / 2
    shape = np.sinc(2 * cutoff * n) * np.kaiser(taps, 6.0)
    response: Floats = (gain * shape / shape.sum()).astype(np.float32)
    return response


_UP = _low_pass(48, 4000 / 16000, 2.0)
UP_TAPS: Final = np.ascontiguousarray(_UP.reshape(24, 2).T[:, ::-1])  # [phase, tap], oldest sample first
DOWN_TAPS: Final = np.ascontiguousarray(_low_pass(72, 4000 / 24000, 1.0)[::-1])
UP_KEPT: Final = UP_TAPS.shape[1] - 1  # samples of history the filters need
DOWN_KEPT: Final = DOWN_TAPS.shape[0] - 1

_jit = numba.njit(cache=True, nogil=True, fastmath=True)


@_jit
def look_up(codes: Bytes, table: NDArray[np.int16], pcm: NDArray[np.int16]) -> None:
    """pcm[i] = table[codes[i]]: the least that μ-law decoding can cost."""
    for i in range(codes.size):
        pcm[i] = table[codes[i]]


@_jit
def _decode64(source: Bytes, out: Bytes) -> int:
    """Standard base64, padded, into `out`; returns the number of bytes."""
    size = source.size // 4 * 3
    j = 0
    for i in range(0, source.size - 3, 4):
        word = (
            (np.uint32(SEXTET[source[i]]) << 18)
            | (np.uint32(SEXTET[source[i + 1]]) << 12)
            | (np.uint32(SEXTET[source[i + 2]]) << 6)
            | np.uint32(SEXTET[source[i + 3]])
        )
        out[j] = (word >> 16) & 255
        out[j + 1] = (word >> 8) & 255
        out[j + 2] = word & 255
        j += 3
    if source[source.size - 1] == 61:
        size -= 1
    if source[source.size - 2] == 61:
        size -= 1
    return size


@_jit
def _encode64(source: Bytes, size: int, out: Bytes, at: int) -> int:
    """Base64 of source[:size], padded, written at out[at]; returns the end. Reads up to source[size + 1]."""
    if size % 3:
        source[size : size + 3 - size % 3] = 0
    for i in range(0, size, 3):
        word = (np.uint32(source[i]) << 16) | (np.uint32(source[i + 1]) << 8) | np.uint32(source[i + 2])
        high, low = PAIRS[word >> 12], PAIRS[word & 4095]
        out[at] = high & 255
        out[at + 1] = high >> 8
        out[at + 2] = low & 255
        out[at + 3] = low >> 8
        at += 4
    if size % 3:
        out[at - 1] = 61
        if size % 3 == 1:
            out[at - 2] = 61
    return at


@_jit
def up(payload: Bytes, history: Floats, raw: Bytes, work: Bytes, out: Bytes, at: int) -> int:
    """Base64 μ-law 8 kHz → base64 PCM 16 kHz at out[at]; returns the end.

    history: float32[UP_KEPT + frame], the first UP_KEPT samples carried between calls; raw, work: scratch.
    """
    count = _decode64(payload, raw)
    for i in range(count):
        history[UP_KEPT + i] = TO_PCM[raw[i]]
    pcm = work.view(np.int16)
    for phase in range(2):
        for i in range(count):
            total = np.float32(0)
            for k in range(UP_KEPT + 1):
                total += UP_TAPS[phase, k] * history[i + k]
            pcm[2 * i + phase] = min(max(total, np.float32(-32768)), np.float32(32767))
    for i in range(UP_KEPT):
        history[i] = history[count + i]
    return _encode64(work, 4 * count, out, at)


@_jit
def down(payload: Bytes, history: Floats, raw: Bytes, work: Bytes, out: Bytes, at: int) -> int:
    """Base64 PCM 24 kHz (a multiple of 3 samples) → base64 μ-law 8 kHz at out[at]; returns the end."""
    count = _decode64(payload, raw) // 2
    pcm = raw.view(np.int16)
    for i in range(count):
        history[DOWN_KEPT + i] = pcm[i]
    for i in range(count // 3):
        total = np.float32(0)
        for k in range(DOWN_KEPT + 1):
            total += DOWN_TAPS[k] * history[3 * i + k]
        work[i] = TO_ULAW[int(min(max(total, np.float32(-32768)), np.float32(32767))) + 32768]
    for i in range(DOWN_KEPT):
        history[i] = history[count + i]
    return _encode64(work, count // 3, out, at)


class Up:
    """One call's caller → model direction; writes behind `head` in a buffer it owns."""

    def __init__(self) -> None:
        self._history = np.zeros(UP_KEPT + 4096, np.float32)
        self._raw = np.zeros(4096, np.uint8)
        self._work = np.zeros(4 * 4096, np.uint8)

    def into(self, payload: bytes, out: Bytes, at: int) -> int:
        source = np.frombuffer(payload, np.uint8)
        return int(up(source, self._history, self._raw, self._work, out, at))


class Down:
    """One call's model → caller direction; chunks up to 100 ms."""

    def __init__(self) -> None:
        self._history = np.zeros(DOWN_KEPT + 2400, np.float32)
        self._raw = np.zeros(4800, np.uint8)
        self._work = np.zeros(2400, np.uint8)

    def into(self, payload: bytes, out: Bytes, at: int) -> int:
        source = np.frombuffer(payload, np.uint8)
        return int(down(source, self._history, self._raw, self._work, out, at))


def warm_up() -> None:
    """Compile, or load the compiled code, before anything is timed."""
    out = np.zeros(8192, np.uint8)
    Up().into(base64.b64encode(bytes(160)), out, 0)
    Down().into(base64.b64encode(bytes(1920)), out, 0)
    look_up(np.zeros(160, np.uint8), TO_PCM, np.zeros(160, np.int16))
