"""The frame codecs in plain numpy: the kernels' slow twin, and the road on which SOXR is the live resampler.

Ten to thirty times as slow as the kernels, with the same interface; the same tests run on both.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Callable

import numpy as np
import soxr
from numpy.typing import NDArray

from media_plane.dsp.filters import down_taps, up_taps
from media_plane.dsp.g711 import compress, expand
from media_plane.dsp.held_back import HeldBack, Metered, Pcm, Resampler
from media_plane.dsp.kernels import KEPT, MAX_DOWN_CHARS, MAX_UP_CHARS
from media_plane.dsp.speech import SpeechDetector

_ROOM = 64 * 1024  # of the outgoing message
_NS_PER_SAMPLE = 125_000  # 8 kHz
_STANDARD = bytes.maketrans(b"-_", b"+/")


class FirResampler:
    """One FIR filter between zero-stuffing by `up` and keeping every `down`-th sample, in float64."""

    def __init__(self, taps: NDArray[np.float64], up: int, down: int) -> None:
        self._taps = taps
        self._up = up
        self._down = down
        self._history = np.zeros(len(taps) - 1)
        self._rest: Pcm = np.empty(0, np.int16)

    def process(self, pcm: Pcm) -> Pcm:
        pcm = np.concatenate([self._rest, pcm])
        whole = len(pcm) // self._down * self._down
        self._rest = pcm[whole:]
        stuffed = np.zeros(whole * self._up)
        stuffed[:: self._up] = pcm[:whole]
        signal = np.concatenate([self._history, stuffed])
        self._history = signal[len(signal) - len(self._history) :]
        if whole == 0:
            return np.empty(0, np.int16)
        filtered = np.convolve(signal, self._taps, mode="valid")[self._down - 1 :: self._down]
        return np.floor(np.clip(filtered, -32768, 32767) + 0.5).astype(np.int16)

    def reset(self) -> None:
        self._history = np.zeros(len(self._taps) - 1)
        self._rest = np.empty(0, np.int16)


class SoxrResampler:
    """python-soxr's stream, int16. It holds audio back and lets it go in lumps, but for QQ's quality."""

    def __init__(self, rate_in: int, rate_out: int, quality: str) -> None:
        self._make: Callable[[], soxr.ResampleStream] = lambda: soxr.ResampleStream(
            rate_in, rate_out, 1, dtype="int16", quality=quality
        )
        self.reset()

    def process(self, pcm: Pcm) -> Pcm:
        return np.asarray(self._stream.resample_chunk(pcm), np.int16)

    def reset(self) -> None:
        self._stream = self._make()


class Unchanged:
    """The resampler between equal rates."""

    def process(self, pcm: Pcm) -> Pcm:
        return pcm

    def reset(self) -> None:
        pass


class PlainUplink:
    """base64 μ-law → base64 PCM at the resampler's rate. See `codec.Uplink`."""

    max_chars = MAX_UP_CHARS

    def __init__(self, buffer: bytearray, head: bytes, resampler: Resampler) -> None:
        self.buffer = buffer
        self.speech = SpeechDetector()
        self.samples = 0
        self._kept = b""
        self._head = head
        self._resampler = resampler

    def expect(self, before: bytes, after: bytes) -> None:
        """Every message takes the slow road."""

    def recent(self, samples: int) -> bytes:
        return self._kept[len(self._kept) - min(samples, len(self._kept)) :]

    def encode(self, data: bytes, start: int, end: int, now_ns: int) -> int:
        ulaw = _decode(data, start, end, self.max_chars)
        if ulaw is None or not len(ulaw):
            return 0 if ulaw is not None else -1
        pcm = expand(ulaw)
        level = int(np.abs(pcm.astype(np.int32)).sum()) // len(pcm)
        self.speech.frame(level, len(pcm) * _NS_PER_SAMPLE, now_ns)
        self.samples += len(pcm)
        self._kept = (self._kept + ulaw.tobytes())[-KEPT:]
        resampled = self._resampler.process(pcm)
        offset = _write(self.buffer, self._head, resampled.tobytes(), b'"}}}') if len(resampled) else 0
        return (level << 48) | (len(ulaw) << 32) | offset


class PlainDownlink:
    """base64 24 kHz PCM → base64 μ-law. See `codec.Downlink`."""

    max_chars = MAX_DOWN_CHARS

    def __init__(self, buffer: bytearray, resampler: Resampler) -> None:
        self.buffer = buffer
        self._head = b""
        self._resampler = resampler
        self._odd = b""
        self._ulaw = b""

    def decode(self, data: bytes, start: int, end: int) -> int:
        audio = _decode(data, start, end, self.max_chars)
        if audio is None or not len(audio):
            return 0 if audio is not None else -1
        pcm_bytes = self._odd + audio.tobytes()
        whole = len(pcm_bytes) & ~1
        self._odd = pcm_bytes[whole:]
        self._ulaw = compress(self._resampler.process(np.frombuffer(pcm_bytes[:whole], "<i2"))).tobytes()
        if not self._ulaw:
            return 0
        return (len(self._ulaw) << 32) | _write(self.buffer, self._head, self._ulaw, b'"}}')

    def expect(self, before: bytes, after: bytes) -> None:
        """Every message takes the slow road."""

    def ulaw(self, samples: int) -> bytes:
        return self._ulaw[:samples]

    def address(self, head: bytes) -> None:
        self._head = head

    def reset(self) -> None:
        self._resampler.reset()
        self._odd = b""


class PlainCodecs:
    """Both directions over one kind of resampler: `fir` (the twin), or SOXR at QQ, HQ or VHQ quality."""

    def __init__(self, name: str, uplink_rate: int = 16000) -> None:
        if uplink_rate not in (8000, 16000):
            raise ValueError("uplink_rate must be one of [8000, 16000]")
        self.name = name
        self.uplink_rate = uplink_rate
        self._buffer = bytearray(_ROOM)
        self._up_held, self._down_held = HeldBack(), HeldBack()

    @property
    def held_back_ms(self) -> tuple[float, float]:
        return self._up_held.mean_ms, self._down_held.mean_ms

    @property
    def most_held_back_ms(self) -> tuple[float, float]:
        return self._up_held.most_ms, self._down_held.most_ms

    def uplink(self, head: bytes) -> PlainUplink:
        return PlainUplink(self._buffer, head, self._resampler(8000, self.uplink_rate, self._up_held))

    def downlink(self) -> PlainDownlink:
        return PlainDownlink(self._buffer, self._resampler(24000, 8000, self._down_held))

    def _resampler(self, rate_in: int, rate_out: int, held: HeldBack) -> Resampler:
        inner: Resampler
        if rate_in == rate_out:
            inner = Unchanged()
        elif self.name != "fir":
            inner = SoxrResampler(rate_in, rate_out, self.name.removeprefix("soxr-").upper())
        elif rate_in == 8000:
            inner = FirResampler(up_taps(), 2, 1)
        else:
            inner = FirResampler(down_taps(), 1, 3)
        return Metered(inner, rate_in, rate_out, held)


def _decode(data: bytes, start: int, end: int, most: int) -> NDArray[np.uint8] | None:
    """The bytes that data[start:end] is base64 of, in either alphabet; None when it is not, or is too
    long."""
    if start < 0 or end < start or (end - start) % 4 or end - start > most:
        return None
    try:
        decoded = b64decode(data[start:end].translate(_STANDARD), validate=True)
    except binascii.Error:
        return None
    return np.frombuffer(decoded, np.uint8)


def _write(buffer: bytearray, head: bytes, audio: bytes, tail: bytes) -> int:
    """Put the message at the buffer's end; returns where it begins."""
    message = head + b64encode(audio) + tail
    offset = len(buffer) - len(message)
    buffer[offset:] = message
    return offset
