"""The sound the load peers make and listen for: faint noise with a short loud tone burst in it.

Written apart from the product's audio code on purpose: what measures must not share its mistakes.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Final

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.int16]

PHONE_RATE: Final = 8_000
MODEL_IN_RATE: Final = 16_000
MODEL_OUT_RATE: Final = 24_000
FRAME_MS: Final = 20  # Twilio's frames
CHUNK_MS: Final = 40  # the model's chunks
BURST_MS: Final = 8  # ends within its frame, so that at most one frame and its filter tail are loud
BURST_HZ: Final = 1_000  # in every resampler's passband
BURST_PEAK: Final = 29_000  # int16; leaves room for a filter's overshoot
NOISE_RMS: Final = 100.0  # about -50 dBFS: real payload bytes, and far below LOUD
LOUD: Final = 8_000  # int16; reached about 0.05 ms after the burst's first sample

_BIAS: Final = 132  # ITU-T G.711, 16-bit form
_CLIP: Final = 32_635


def ulaw_encode(pcm: Pcm) -> NDArray[np.uint8]:
    """G.711 μ-law codes of int16 samples, by the definition."""
    wide = pcm.astype(np.int32)
    magnitude = np.minimum(np.abs(wide), _CLIP) + _BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    sign = np.where(wide < 0, 0x80, 0)
    codes: NDArray[np.uint8] = (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)
    return codes


def ulaw_table() -> Pcm:
    """int16[256]: the sample each μ-law code stands for."""
    code = ~np.arange(256) & 0xFF
    magnitude = (((code & 0x0F) << 3) + _BIAS << ((code >> 4) & 7)) - _BIAS
    pcm: Pcm = np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)
    return pcm


_ULAW_IS_LOUD: Final = np.abs(ulaw_table().astype(np.int32)) >= LOUD


def noise(rate: int, ms: int, seed: int) -> Pcm:
    return np.random.default_rng(seed).normal(0, NOISE_RMS, rate * ms // 1000).astype(np.int16)


def with_burst(pcm: Pcm, rate: int) -> Pcm:
    """`pcm` with the burst in place of its first BURST_MS; the burst starts at sample 0."""
    length = rate * BURST_MS // 1000
    loud = pcm.copy()
    loud[:length] = BURST_PEAK * np.sin(2 * np.pi * BURST_HZ * np.arange(length) / rate)
    return loud


def ulaw_frame(seed: int, *, burst: bool = False) -> bytes:
    """Base64 of one 20 ms μ-law frame."""
    pcm = noise(PHONE_RATE, FRAME_MS, seed)
    return b64encode(ulaw_encode(with_burst(pcm, PHONE_RATE) if burst else pcm).tobytes())


def pcm_chunk(seed: int, *, burst: bool = False) -> bytes:
    """Base64 of one 40 ms chunk of 24 kHz int16 PCM."""
    pcm = noise(MODEL_OUT_RATE, CHUNK_MS, seed)
    return b64encode((with_burst(pcm, MODEL_OUT_RATE) if burst else pcm).tobytes())


def onset_in_ulaw(payload: bytes) -> int:
    """Index of the first loud sample of a μ-law payload; -1: none."""
    return _first(_ULAW_IS_LOUD[np.frombuffer(payload, np.uint8)])


def onset_in_pcm(payload: bytes) -> int:
    """Index of the first loud sample of an int16 payload; -1: none."""
    pcm = np.frombuffer(payload, "<i2", count=len(payload) // 2)
    return _first((pcm >= LOUD) | (pcm <= -LOUD))


def _first(loud: NDArray[np.bool_]) -> int:
    if not loud.size:
        return -1
    index = int(loud.argmax())
    return index if loud[index] else -1
