"""The fused frame kernels: base64 in one socket's message → base64 in the other's, in one call.

Memory. Nothing is allocated. `work` is the process's one workspace: scratch, then room for the outgoing
message, which is written so that it ends with the workspace's last byte. picows sends a bytearray from an
offset to its end, so one buffer fits every length; it is written whole each time, because picows masks client
frames in place. `state` is the call's own. `data` is the peer's message: only read, and only inside it.

The audio is data[start:end]; with `start` SHAPED it is wherever the message has it, provided that the message
has the shape that the state tells. All return -1, with the state as if never called, when the message has
another shape, or when [start, end) is not base64 (either alphabet) padded to
a multiple of four, or is longer than the workspace: the caller then takes the slow road, which knows the
reason.

Everything a kernel depends on is in this file: numba's disk cache looks at the file of the kernel alone, so a
helper or a coefficient changed elsewhere would go unnoticed. `filters` tells how the coefficients are made,
and a test holds the two equal.
"""

# numba types these functions, by inference of its own; to mypy they would all be numpy scalars.
# mypy: disable-error-code="no-untyped-def, assignment, operator"

from __future__ import annotations

import numpy as np
from numba import njit, types

from media_plane.dsp.g711 import PCM14_TO_ULAW, ULAW_TO_PCM
from media_plane.dsp.jit import kernel

# 8→16 kHz, y[2n] = Σ_j UP_EVEN[j] x[n - 23 + j], y[2n + 1] = x[n - 11]; half of a symmetric row.
_UP_HALF = (
    *(-0.0016654803, 0.0030212274, -0.0055970781, 0.0094636945, -0.015041517, 0.022910309),
    *(-0.033961808, 0.049785783, -0.073725793, 0.11450021, -0.20429414, 0.63394521),
)
# 24→8 kHz, y[n] = Σ_k h[k] x[3n + 2 - k]; half of a symmetric row.
_DOWN_HALF = (
    *(-0.00054689623, -0.00015123827, 0.00082818916, 0.0018449184, 0.0015442374, -0.00061258937),
    *(-0.0031278876, -0.0032465886, 0.00025955563, 0.0048897794, 0.0057909967, 0.00052471674),
    *(-0.0071677186, -0.00943712, -0.0018919332, 0.010226067, 0.014802306, 0.0042780606),
    *(-0.014416671, -0.022985664, -0.0084583446, 0.020739518, 0.03691267, 0.016631475),
    *(-0.032415623, -0.067294987, -0.038354973, 0.068532305, 0.21103677, 0.3121995),
)
UP_EVEN = np.array(_UP_HALF + _UP_HALF[::-1], np.float32)
DOWN_PHASES = np.ascontiguousarray(
    np.array(_DOWN_HALF + _DOWN_HALF[::-1], np.float32)[::-1].reshape(-1, 3).T
)  # [p, j]: the tap of x[3 (n - 19 + j) + p]
_H0, _H1, _H2 = DOWN_PHASES[0].copy(), DOWN_PHASES[1].copy(), DOWN_PHASES[2].copy()

_UP_BRANCH = len(UP_EVEN)
_UP_HISTORY = _UP_BRANCH - 1
_UP_DELAY = (_UP_BRANCH - 2) // 2
_DOWN_BRANCH = DOWN_PHASES.shape[1]
_DOWN_HISTORY = _DOWN_BRANCH - 1

MAX_UP_CHARS = 2136  # base64 of 1602 μ-law bytes: 200 ms
MAX_DOWN_CHARS = 32768  # base64 of 24,576 bytes of PCM: 512 ms

SHAPED = -1  # as `start`: find the audio by the message's shape

# `state`: registers (an uplink's), float32 history, the newest μ-law (an uplink's) or carried bytes (a
# downlink's); then three sizes as uint16, and as many bytes each: the outgoing message's head; what stands
# before the audio in the peer's messages: texts, each with its length as uint16, and between two of them 1 to
# 19 digits; and what stands after it.
_UP_FLOATS = 4 * _UP_HISTORY
_DOWN_FLOATS = 4 * 3 * _DOWN_HISTORY
_CARRY = 8  # up to 5 bytes of three samples that are not whole yet; the last byte says how many
REGISTERS = 9 * 8  # nine int64: what `speech` knows of the caller, and how much came
KEPT = 1 << 16  # newest samples, 8.2 s: sample n of the call is at n % KEPT
UP_KEPT_AT = REGISTERS + _UP_FLOATS
UP_8K_KEPT_AT = REGISTERS  # nothing is resampled, so the filter has no memory
UP_SIZES = UP_KEPT_AT + KEPT
UP_8K_SIZES = UP_8K_KEPT_AT + KEPT
DOWN_SIZES = _DOWN_FLOATS + _CARRY
SIZES = 3 * 2

# `work`, in bytes; every part starts at a multiple of 64.
_UP_SAMPLES = MAX_UP_CHARS // 4 * 3
_TRIPLETS = (MAX_DOWN_CHARS // 4 * 3 + 5) // 6
_ROW = _DOWN_HISTORY + _TRIPLETS + 13  # floats of one phase
_SEXTETS = MAX_DOWN_CHARS
_BYTES = MAX_DOWN_CHARS // 4 * 3 + 64
_FILTERED = 3 * _ROW  # the downlink's 8 kHz samples before μ-law, in floats
_FLOATS = 4 * (3 * _ROW + _TRIPLETS + 15) // 64 * 64
AUDIO_AT = _SEXTETS + _BYTES + _FLOATS  # the resampled audio stays here: int16 at 16 kHz, or μ-law
FILTERED_AT = _SEXTETS + _BYTES + 4 * _FILTERED  # and these: float32, left there by `downlink`
_AUDIO = (4 * _UP_SAMPLES + 63) // 64 * 64
_MESSAGE = (4 * _UP_SAMPLES + 2) // 3 * 4 + 512  # the longer of the two, and its envelope
WORK = AUDIO_AT + _AUDIO + _MESSAGE
MAX_HEAD = 500
MAX_SHAPE = 60_000  # before and after
_MAX_DIGITS = 19

# Registers.
SPEAKING, STARTED_NS, STOPPED_NS, SINCE_NS, NOISE, VOICED, FIRST_NS, VOICED_NS, SAMPLES = range(9)
QUIETEST_SPEECH = 160  # of 32124, mean absolute amplitude: about -46 dBFS
FIRST_NOISE = 40.0  # 12 dB below it
_OVER_NOISE = 4.0  # 12 dB
_NOISE_RISE = 1.004  # a frame; the noise estimate doubles in 3.5 s and falls at once
_LOUDEST_NOISE = 1000.0  # about -30 dBFS: louder is somebody speaking without a pause
_ONSET_FRAMES = 3
_ONSET_MEMORY_NS = 100_000_000  # 5 frames
_HANGOVER_NS = 300_000_000  # gaps inside words and between them
_NS_PER_SAMPLE = 125_000  # 8 kHz

_EXPAND = ULAW_TO_PCM.astype(np.float32)
_LINEAR = ULAW_TO_PCM
_COMPRESS = PCM14_TO_ULAW
_LOW, _HIGH, _HALF = np.float32(-32768), np.float32(32767), np.float32(32768.5)
_ZERO = np.float32(0)
# numba widens `uint32 << 2` to 64 bits unless the 2 is a uint32 as well, and half the vector width is lost.
_U2, _U3, _U4, _U6, _U8, _U10 = (np.uint32(v) for v in (2, 3, 4, 6, 8, 10))
_U12, _U15, _U16, _U18, _U24 = (np.uint32(v) for v in (12, 15, 16, 18, 24))
_U63, _U192, _U240, _U65535 = (np.uint32(v) for v in (63, 192, 240, 65535))

_bytes_in = types.Bytes(types.uint8, 1, "C", readonly=True)
_array = types.uint8[::1]
_signature = types.int64(_array, _array, _bytes_in, types.int64, types.int64)
_up_signature = types.int64(_array, _array, _bytes_in, types.int64, types.int64, types.int64)


@njit(nogil=True)
def _hear(registers, level, frame_ns, now_ns):
    """One frame of `level`, `frame_ns` long and complete at `now_ns`. See `speech`."""
    estimate = registers.view(np.float64)
    noise = estimate[NOISE]
    if level < noise:
        noise = max(np.float64(level), 1.0)
        estimate[NOISE] = noise
    else:
        estimate[NOISE] = min(noise * _NOISE_RISE, _LOUDEST_NOISE)
    if level < QUIETEST_SPEECH or level < noise * _OVER_NOISE:
        if registers[SPEAKING] and now_ns - registers[VOICED_NS] > _HANGOVER_NS:
            registers[SPEAKING] = 0
            registers[VOICED] = 0
        return
    if registers[SPEAKING]:
        registers[STOPPED_NS] = registers[VOICED_NS] = now_ns
        return
    if registers[VOICED] == 0 or now_ns - registers[VOICED_NS] > _ONSET_MEMORY_NS:
        registers[VOICED] = 0
        registers[FIRST_NS] = now_ns - frame_ns
    registers[VOICED_NS] = now_ns
    registers[VOICED] += 1
    if registers[VOICED] >= _ONSET_FRAMES:
        registers[SPEAKING] = 1
        registers[STARTED_NS] = registers[FIRST_NS]
        registers[STOPPED_NS] = now_ns
        if registers[SINCE_NS] == 0:
            registers[SINCE_NS] = registers[FIRST_NS]


@kernel(types.void(types.int64[::1], types.int64, types.int64, types.int64))
def hear(registers, level, frame_ns, now_ns):
    """`_hear`, for audio that does not pass through an uplink here."""
    _hear(registers, level, frame_ns, now_ns)


@njit(nogil=True)
def _find(data, shape):
    """(start, end) of the audio in a message of the expected shape; start is -1 in any other.

    `shape`: `state` from its sizes on.
    """
    sizes = shape[:SIZES].view(np.uint16)
    at = SIZES + np.int64(sizes[0])
    texts_end = at + np.int64(sizes[1])
    size = len(data)
    if at == texts_end:
        return -1, -1
    start = 0
    while True:
        length = np.int64(shape[at]) | np.int64(shape[at + 1]) << 8
        at += 2
        if start + length > size or not _same(data[start : start + length], shape[at : at + length]):
            return -1, -1
        start += length
        at += length
        if at == texts_end:
            break
        limit = min(size, start + _MAX_DIGITS + 1)
        first = start
        while start < limit and 48 <= data[start] <= 57:
            start += 1
        if start == first or start - first > _MAX_DIGITS:
            return -1, -1
    end = size - np.int64(sizes[2])
    if end < start or not _same(data[end:size], shape[texts_end : texts_end + sizes[2]]):
        return -1, -1
    return start, end


@njit(nogil=True)
def _same(data, text):
    different = np.uint8(0)
    for i in range(len(text)):  # to the end: LLVM makes vector code of it
        different |= data[i] ^ text[i]
    return different == 0


@njit(nogil=True)
def _head(shape):
    """The outgoing message's."""
    return shape[SIZES : SIZES + np.int64(shape[:SIZES].view(np.uint16)[0])]


@njit(nogil=True)
def _decode(data, start, end, sextets, out):
    """base64 → bytes in `out`; returns how many, or -1 on a foreign character."""
    n = end - start
    pad = 0
    if data[end - 1] == 61:
        pad = 2 if data[end - 2] == 61 else 1
    chars = data[start : end - pad]
    worst = np.uint8(0)
    for i in range(n - pad):  # a chain of selects: LLVM makes vector code of it, which no table gets
        c = np.int32(chars[i])
        v = 255
        v = c - 65 if (c >= 65) & (c <= 90) else v
        v = c - 71 if (c >= 97) & (c <= 122) else v
        v = c + 4 if (c >= 48) & (c <= 57) else v
        v = 62 if (c == 43) | (c == 45) else v
        v = 63 if (c == 47) | (c == 95) else v
        sextets[i] = np.uint8(v)
        worst = max(worst, np.uint8(v))
    if worst > 63:
        return -1
    for i in range(n - pad, n):
        sextets[i] = 0
    words = sextets[:n].view(np.uint32)
    for g in range(n >> 2):
        w = words[g]
        out[3 * g] = np.uint8((w << _U2) | ((w >> _U12) & _U3))
        out[3 * g + 1] = np.uint8(((w >> _U4) & _U240) | ((w >> _U18) & _U15))
        out[3 * g + 2] = np.uint8(((w >> _U10) & _U192) | (w >> _U24))
    return 3 * (n >> 2) - pad


@njit(nogil=True)
def _keep(kept, codes, n, count):
    """Put `n` bytes of `codes` where the call's sample number `count` belongs, and on."""
    at = count & (KEPT - 1)
    first = min(n, KEPT - at)
    for i in range(first):
        kept[at + i] = codes[i]
    for i in range(first, n):
        kept[i - first] = codes[i]


@njit(nogil=True)
def _write(message, head, braces, audio, n):
    """head, `n` bytes of `audio` as base64, a quote and closing braces, up to the end of `message`.

    Returns where in `message` it begins.
    """
    groups = n // 3
    rest = n - 3 * groups
    payload = 4 * ((n + 2) // 3)
    at = message.size - 1 - braces - payload
    out = message[at : at + payload]
    words = out[: 4 * groups].view(np.uint32)
    for g in range(groups):  # four 6-bit values as one word
        a = np.uint32(audio[3 * g])
        b = np.uint32(audio[3 * g + 1])
        c = np.uint32(audio[3 * g + 2])
        words[g] = (
            (a >> _U2)
            | ((((a << _U4) | (b >> _U4)) & _U63) << _U8)
            | ((((b << _U2) | (c >> _U6)) & _U63) << _U16)
            | ((c & _U63) << _U24)
        )
    if rest:
        a = audio[3 * groups]
        b = audio[3 * groups + 1] if rest == 2 else np.uint8(0)
        out[payload - 4] = np.uint8(a >> 2)
        out[payload - 3] = np.uint8(((a << 4) | (b >> 4)) & 63)
        out[payload - 2] = np.uint8((b << 2) & 63)
        out[payload - 1] = 0
    for i in range(payload):
        s = np.int32(out[i])
        v = s + 65
        v = s + 71 if s >= 26 else v
        v = s - 4 if s >= 52 else v
        v = 43 if s == 62 else v
        v = 47 if s == 63 else v
        out[i] = np.uint8(v)
    if rest:
        message[at + payload - 1] = 61
        if rest == 1:
            message[at + payload - 2] = 61
    message[at + payload] = 34
    for i in range(at + payload + 1, message.size):
        message[i] = 125
    begin = at - head.size
    for i in range(head.size):
        message[begin + i] = head[i]
    return begin


@kernel(_up_signature)
def uplink(work, state, data, start, end, now_ns):
    """Twilio's payload → the model's audio message: base64 → μ-law → 8 kHz → FIR → 16 kHz int16 → base64.

    Returns level << 48 | samples << 32 | offset of the message in `work`; level: mean absolute amplitude of
    the 8 kHz samples, 0 to 32124; samples: how many. `work[AUDIO_AT:]` is left holding the 16 kHz samples. 0
    for an empty payload. With the level, and `now_ns`, the time at which the message was read, the registers
    tell when the caller speaks. The μ-law is kept, see KEPT.
    """
    shape = state[UP_SIZES:]
    if start == SHAPED:
        start, end = _find(data, shape)
        if start < 0:
            return -1
    chars = end - start
    if chars <= 0 or chars & 3 or chars > MAX_UP_CHARS:
        return 0 if chars == 0 else -1
    codes = work[_SEXTETS : _SEXTETS + _BYTES]
    n = _decode(data, start, end, work[:chars], codes)
    if n < 0:
        return -1
    floats = work[_SEXTETS + _BYTES : AUDIO_AT].view(np.float32)
    history = state[REGISTERS : REGISTERS + _UP_FLOATS].view(np.float32)
    pcm = work[AUDIO_AT : AUDIO_AT + 4 * n].view(np.uint32)  # two samples a word
    x = floats[: _UP_HISTORY + n]
    even = floats[2 * _ROW : 2 * _ROW + n]
    for i in range(_UP_HISTORY):
        x[i] = history[i]
    for i in range(n):
        x[_UP_HISTORY + i] = _EXPAND[codes[i]]
    total = np.int32(0)
    for i in range(n):
        total += abs(np.int32(x[_UP_HISTORY + i]))
    for i in range(n):
        y = _ZERO
        for j in range(_UP_BRANCH):
            y += UP_EVEN[j] * x[i + j]
        even[i] = y
    for i in range(n):
        # The operand of the conversion is made positive, where truncation is floor: round half up.
        y = np.uint32(np.int32(min(max(even[i], _LOW), _HIGH) + _HALF) - 32768)
        pcm[i] = (y & _U65535) | (np.uint32(np.int32(x[_UP_HISTORY + i - _UP_DELAY])) << _U16)
    for i in range(_UP_HISTORY):
        history[i] = x[n + i]
    level = np.int64(total // n)
    registers = state[:REGISTERS].view(np.int64)
    _keep(state[UP_KEPT_AT:UP_SIZES], codes, n, registers[SAMPLES])
    registers[SAMPLES] += n
    _hear(registers, level, n * _NS_PER_SAMPLE, now_ns)
    message = work[AUDIO_AT + _AUDIO :]
    begin = _write(message, _head(shape), 3, work[AUDIO_AT : AUDIO_AT + 4 * n], 4 * n)
    return (level << 48) | (n << 32) | (AUDIO_AT + _AUDIO + begin)


@kernel(_up_signature)
def uplink_8k(work, state, data, start, end, now_ns):
    """As `uplink`, for a model that takes telephone audio as it is: base64 → μ-law → 8 kHz int16 → base64.

    `work[AUDIO_AT:]` is left holding the 8 kHz samples.
    """
    shape = state[UP_8K_SIZES:]
    if start == SHAPED:
        start, end = _find(data, shape)
        if start < 0:
            return -1
    chars = end - start
    if chars <= 0 or chars & 3 or chars > MAX_UP_CHARS:
        return 0 if chars == 0 else -1
    codes = work[_SEXTETS : _SEXTETS + _BYTES]
    n = _decode(data, start, end, work[:chars], codes)
    if n < 0:
        return -1
    pcm = work[AUDIO_AT : AUDIO_AT + 2 * n].view(np.int16)
    total = np.int32(0)
    for i in range(n):
        pcm[i] = _LINEAR[codes[i]]
    for i in range(n):
        total += abs(np.int32(pcm[i]))
    level = np.int64(total // n)
    registers = state[:REGISTERS].view(np.int64)
    _keep(state[UP_8K_KEPT_AT:UP_8K_SIZES], codes, n, registers[SAMPLES])
    registers[SAMPLES] += n
    _hear(registers, level, n * _NS_PER_SAMPLE, now_ns)
    message = work[AUDIO_AT + _AUDIO :]
    begin = _write(message, _head(shape), 3, work[AUDIO_AT : AUDIO_AT + 2 * n], 2 * n)
    return (level << 48) | (n << 32) | (AUDIO_AT + _AUDIO + begin)


@kernel(_signature)
def downlink(work, state, data, start, end):
    """The model's audio part → Twilio's media message: base64 → 24 kHz int16 → FIR → 8 kHz → μ-law → base64.

    Returns samples << 32 | offset of the message in `work`; samples: μ-law codes in it, left in
    `work[AUDIO_AT:]` too. 0 when no three samples became whole: parts of any length are legal, odd ones too,
    and what is left of one waits in `state` for the next.
    """
    shape = state[DOWN_SIZES:]
    if start == SHAPED:
        start, end = _find(data, shape)
        if start < 0:
            return -1
    chars = end - start
    if chars <= 0 or chars & 3 or chars > MAX_DOWN_CHARS:
        return 0 if chars == 0 else -1
    carry = state[_DOWN_FLOATS : _DOWN_FLOATS + _CARRY]
    kept = np.int64(carry[_CARRY - 1])
    pcm_bytes = work[_SEXTETS : _SEXTETS + _BYTES]
    decoded = _decode(data, start, end, work[:chars], pcm_bytes[kept:])
    if decoded < 0:
        return -1
    for i in range(kept):
        pcm_bytes[i] = carry[i]
    n = (kept + decoded) // 6
    left = kept + decoded - 6 * n
    for i in range(left):
        carry[i] = pcm_bytes[6 * n + i]
    carry[_CARRY - 1] = left
    if n == 0:
        return 0

    pcm = pcm_bytes[: 6 * n].view(np.int16)
    floats = work[_SEXTETS + _BYTES : AUDIO_AT].view(np.float32)
    history = state[:_DOWN_FLOATS].view(np.float32)
    x0 = floats[: _DOWN_HISTORY + n]
    x1 = floats[_ROW : _ROW + _DOWN_HISTORY + n]
    x2 = floats[2 * _ROW : 2 * _ROW + _DOWN_HISTORY + n]
    out = floats[_FILTERED : _FILTERED + n]
    ulaw = work[AUDIO_AT : AUDIO_AT + n]
    for i in range(_DOWN_HISTORY):
        x0[i] = history[i]
        x1[i] = history[_DOWN_HISTORY + i]
        x2[i] = history[2 * _DOWN_HISTORY + i]
    for i in range(n):
        x0[_DOWN_HISTORY + i] = pcm[3 * i]
        x1[_DOWN_HISTORY + i] = pcm[3 * i + 1]
        x2[_DOWN_HISTORY + i] = pcm[3 * i + 2]
    # One pass a phase: LLVM unrolls twenty taps and runs across outputs; with all sixty in one loop it does
    # not.
    for i in range(n):
        y = _ZERO
        for j in range(_DOWN_BRANCH):
            y += _H0[j] * x0[i + j]
        out[i] = y
    for i in range(n):
        y = out[i]
        for j in range(_DOWN_BRANCH):
            y += _H1[j] * x1[i + j]
        out[i] = y
    for i in range(n):
        y = out[i]
        for j in range(_DOWN_BRANCH):
            y += _H2[j] * x2[i + j]
        out[i] = y
    for i in range(n):
        ulaw[i] = _COMPRESS[np.int32(min(max(out[i], _LOW), _HIGH) + _HALF) >> 2]
    for i in range(_DOWN_HISTORY):
        history[i] = x0[n + i]
        history[_DOWN_HISTORY + i] = x1[n + i]
        history[2 * _DOWN_HISTORY + i] = x2[n + i]
    message = work[AUDIO_AT + _AUDIO :]
    begin = _write(message, _head(shape), 2, ulaw, n)
    return (n << 32) | (AUDIO_AT + _AUDIO + begin)
