"""The relay's two fused kernels, and the plain table look-up that kernels are compared with.

Apart from the product's on purpose: a yardstick that changed with what it measures would hide a regression.
They do what a relay must and no more: no check of what comes in, no level, no remainders, frames of one
length each way. Loops are written so that LLVM makes vector code of them: selects rather than tables for
base64, taps known when compiled, one pass for each phase of a filter.
"""

# numba types these functions, by inference of its own; to mypy they would all be numpy scalars.
# mypy: disable-error-code="no-untyped-def, assignment, operator"

from __future__ import annotations

import base64
from typing import Final

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from bench.load.jit import compiled
from bench.load.signal import ulaw_encode, ulaw_table

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

ROOM: Final = 14  # bytes picows wants free before a message for the frame's header
TO_PCM: Final = ulaw_table()
_TO_FLOAT = TO_PCM.astype(np.float32)
_TO_ULAW: Final = ulaw_encode(np.arange(-32768, 32768).astype(np.int16))  # index: sample + 32768


def _low_pass(taps: int, cutoff: float, gain: float) -> Floats:
    """float32[taps]: windowed sinc, linear phase; `cutoff` in cycles per sample."""
    n = np.arange(taps) - (taps - 1) / 2
    shape = np.sinc(2 * cutoff * n) * np.kaiser(taps, 6.0)
    response: Floats = (gain * shape / shape.sum()).astype(np.float32)
    return response


# 8→16 kHz by half-band: every second tap of 47 is 0 but the one in the middle, which is 1.
_UP = np.ascontiguousarray(_low_pass(47, 4000 / 16000, 2.0)[::2])
_UP_KEPT = _UP.size - 1  # samples of history
_UP_CENTRE = _UP_KEPT // 2 + 1  # history's sample that the odd outputs repeat, 23 samples at 16 kHz late
# 24→8 kHz: 60 taps in three phases, oldest sample first.
_DOWN = np.ascontiguousarray(_low_pass(60, 4000 / 24000, 1.0).reshape(20, 3).T)
_D0, _D1, _D2 = _DOWN[0].copy(), _DOWN[1].copy(), _DOWN[2].copy()
_DOWN_KEPT = _D0.size - 1  # of each phase

UP_FRAME: Final = 160  # bytes of μ-law: 20 ms
DOWN_FRAME: Final = 320  # samples at 8 kHz out of 960 in: 40 ms
UP_CHARS: Final = 856  # base64 of 640 bytes
DOWN_CHARS: Final = 428
_LOW, _HIGH, _HALF = np.float32(-32768), np.float32(32767), np.float32(32768.5)
_ZERO = np.float32(0)
_SHIFTS = [np.uint32(bits) for bits in range(25)]
_S2, _S4, _S6, _S8, _S10, _S12 = (_SHIFTS[bits] for bits in (2, 4, 6, 8, 10, 12))
_S16, _S18, _S24 = (_SHIFTS[bits] for bits in (16, 18, 24))
_U3, _U15, _U63, _U192, _U240 = (np.uint32(mask) for mask in (3, 15, 63, 192, 240))

_text = types.Bytes(types.uint8, 1, "C", readonly=True)
_array = types.uint8[::1]
_signature = types.void(_text, types.int64, types.float32[::1], _array, _array, _array, types.int64)


@numba.njit(cache=True, nogil=True, fastmath=True)
def look_up(codes, table, pcm):
    """pcm[i] = table[codes[i]]: the least that μ-law decoding can cost."""
    for i in range(codes.size):
        pcm[i] = table[codes[i]]


@numba.njit(nogil=True)
def _decode64(text, start, groups, sextets, out):
    """3 * groups bytes of standard base64 into `out`; padding counts as zero bits."""
    chars = text[start : start + 4 * groups]
    for i in range(4 * groups):
        c = np.int32(chars[i])
        v = c - 65
        v = c - 71 if c >= 97 else v
        v = c + 4 if c <= 57 else v
        v = 62 if c == 43 else v
        v = 63 if c == 47 else v
        v = 0 if c == 61 else v
        sextets[i] = np.uint8(v)
    words = sextets[: 4 * groups].view(np.uint32)
    for g in range(groups):
        w = words[g]
        out[3 * g] = np.uint8((w << _S2) | ((w >> _S12) & _U3))
        out[3 * g + 1] = np.uint8(((w >> _S4) & _U240) | ((w >> _S18) & _U15))
        out[3 * g + 2] = np.uint8(((w >> _S10) & _U192) | (w >> _S24))


@numba.njit(nogil=True)
def _encode64(audio, size, message, at):
    """Base64 of audio[:size], padded, at message[at]. Reads up to audio[size + 1]."""
    groups = (size + 2) // 3
    for i in range(size, 3 * groups):
        audio[i] = 0
    out = message[at : at + 4 * groups]
    # Not as words in place: `at` is where the message's head ends, at any byte.
    for g in range(groups):
        a = np.uint32(audio[3 * g])
        b = np.uint32(audio[3 * g + 1])
        c = np.uint32(audio[3 * g + 2])
        out[4 * g] = np.uint8(a >> _S2)
        out[4 * g + 1] = np.uint8(((a << _S4) | (b >> _S4)) & _U63)
        out[4 * g + 2] = np.uint8(((b << _S2) | (c >> _S6)) & _U63)
        out[4 * g + 3] = np.uint8(c & _U63)
    for i in range(4 * groups):
        s = np.int32(out[i])
        v = s + 65
        v = s + 71 if s >= 26 else v
        v = s - 4 if s >= 52 else v
        v = 43 if s == 62 else v
        v = 47 if s == 63 else v
        out[i] = np.uint8(v)
    for i in range(3 * groups - size):
        out[4 * groups - 1 - i] = 61


@numba.njit(nogil=True)
def _enclose(envelope, message, at, chars):
    """Write what stands around the audio: each time, as a client's frames are masked in place."""
    head = at - ROOM
    for i in range(head):
        message[ROOM + i] = envelope[i]
    for i in range(envelope.size - head):
        message[at + chars + i] = envelope[head + i]


@compiled(_signature)
def up(text, start, state, work, envelope, message, at):
    """Base64 of 20 ms of μ-law, at text[start], → base64 of PCM at 16 kHz, at message[at], in its envelope.

    state: float32[_UP_KEPT], carried between calls; work: scratch, uint8[WORK].
    """
    codes = work[: UP_FRAME + 8]
    _decode64(text, start, 54, work[1024:1280], codes)
    x = work[2048:4096].view(np.float32)
    even = work[4096:6144].view(np.float32)
    pcm = work[6144:6784].view(np.int16)
    for i in range(_UP_KEPT):
        x[i] = state[i]
    for i in range(UP_FRAME):
        x[_UP_KEPT + i] = _TO_FLOAT[codes[i]]
    for i in range(UP_FRAME):
        y = _ZERO
        for j in range(_UP_KEPT + 1):
            y += _UP[j] * x[i + j]
        even[i] = y
    for i in range(UP_FRAME):
        pcm[2 * i] = np.int16(np.int32(min(max(even[i], _LOW), _HIGH) + _HALF) - 32768)
        pcm[2 * i + 1] = np.int16(x[i + _UP_CENTRE])
    for i in range(_UP_KEPT):
        state[i] = x[UP_FRAME + i]
    _encode64(work[6144:6848], 640, message, at)
    _enclose(envelope, message, at, UP_CHARS)


@compiled(_signature)
def down(text, start, state, work, envelope, message, at):
    """Base64 of 40 ms of PCM at 24 kHz, at text[start], → base64 of μ-law, at message[at], in its envelope.

    state: float32[3 * _DOWN_KEPT], carried between calls; work: scratch, uint8[WORK].
    """
    _decode64(text, start, 640, work[4096:8192], work[:2048])
    pcm = work[:1920].view(np.int16)
    x0 = work[8192:10240].view(np.float32)
    x1 = work[10240:12288].view(np.float32)
    x2 = work[12288:14336].view(np.float32)
    out = work[14336:15616].view(np.float32)
    codes = work[15616:15940]
    for i in range(_DOWN_KEPT):
        x0[i] = state[i]
        x1[i] = state[_DOWN_KEPT + i]
        x2[i] = state[2 * _DOWN_KEPT + i]
    for i in range(DOWN_FRAME):
        x0[_DOWN_KEPT + i] = pcm[3 * i]
        x1[_DOWN_KEPT + i] = pcm[3 * i + 1]
        x2[_DOWN_KEPT + i] = pcm[3 * i + 2]
    for i in range(DOWN_FRAME):
        y = _ZERO
        for j in range(_DOWN_KEPT + 1):
            y += _D0[j] * x0[i + j]
        out[i] = y
    for i in range(DOWN_FRAME):
        y = out[i]
        for j in range(_DOWN_KEPT + 1):
            y += _D1[j] * x1[i + j]
        out[i] = y
    for i in range(DOWN_FRAME):
        y = out[i]
        for j in range(_DOWN_KEPT + 1):
            y += _D2[j] * x2[i + j]
        out[i] = y
    for i in range(DOWN_FRAME):
        codes[i] = _TO_ULAW[np.int32(min(max(out[i], _LOW), _HIGH) + _HALF)]
    for i in range(_DOWN_KEPT):
        state[i] = x0[DOWN_FRAME + i]
        state[_DOWN_KEPT + i] = x1[DOWN_FRAME + i]
        state[2 * _DOWN_KEPT + i] = x2[DOWN_FRAME + i]
    _encode64(codes, DOWN_FRAME, message, at)
    _enclose(envelope, message, at, DOWN_CHARS)


WORK: Final = 16384
_SHARED = np.zeros(WORK, np.uint8)  # one for the process: frames are handled one at a time


class _Direction:
    """One direction of one call, with a message of its own that differs only in its audio."""

    def __init__(self, head: bytes, tail: bytes, chars: int, history: int) -> None:
        self._envelope: Bytes = np.frombuffer(bytearray(head + tail), np.uint8)
        self._state = np.zeros(history, np.float32)
        self._audio_at = ROOM + len(head)
        self._buffer = bytearray(self._audio_at + chars + len(tail))  # picows sends whole buffers
        self._message: Bytes = np.frombuffer(self._buffer, np.uint8)


class Up(_Direction):
    def __init__(self, head: bytes, tail: bytes) -> None:
        super().__init__(head, tail, UP_CHARS, _UP_KEPT)

    def fill(self, text: bytes, start: int) -> bytearray:
        """The message, ROOM bytes into the buffer, for the frame whose base64 starts at text[start]."""
        up(text, start, self._state, _SHARED, self._envelope, self._message, self._audio_at)
        return self._buffer


class Down(_Direction):
    def __init__(self, head: bytes, tail: bytes) -> None:
        super().__init__(head, tail, DOWN_CHARS, 3 * _DOWN_KEPT)

    def fill(self, text: bytes, start: int) -> bytearray:
        """The message, ROOM bytes into the buffer, for the chunk whose base64 starts at text[start]."""
        down(text, start, self._state, _SHARED, self._envelope, self._message, self._audio_at)
        return self._buffer


def warm_up() -> None:
    """Compile, or load the compiled code, before anything is timed."""
    Up(b"", b"").fill(base64.b64encode(bytes(160)), 0)
    Down(b"", b"").fill(base64.b64encode(bytes(1920)), 0)
    look_up(np.zeros(160, np.uint8), TO_PCM, np.zeros(160, np.int16))
