"""Codecs fed like sockets feed them, and tones found in what comes out."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import numpy.typing as npt

from media_plane.dsp.codec import OFFSET, Codecs

UP_HEAD = b'{"a":{"b":{"c":"'
DOWN_HEAD = b'{"a":{"b":"'

Pcm = npt.NDArray[np.int16]


class Up:
    """A caller's direction, frame by frame."""

    def __init__(self, codecs: Codecs) -> None:
        self.link = codecs.uplink(UP_HEAD)
        self.result = 0

    def send(self, ulaw: bytes) -> Pcm:
        data = b'{"x":"' + base64.b64encode(ulaw) + b'"}}'
        self.result = self.link.encode(data, 6, len(data) - 3, 0)
        assert self.result >= 0
        if not self.result & OFFSET:
            return np.empty(0, np.int16)
        message = json.loads(self.link.buffer[self.result & OFFSET :])
        return np.frombuffer(base64.b64decode(message["a"]["b"]["c"], validate=True), "<i2")


class Down:
    """The model's direction, part by part."""

    def __init__(self, codecs: Codecs) -> None:
        self.link = codecs.downlink()
        self.link.address(DOWN_HEAD)

    def send(self, pcm: bytes) -> bytes:
        data = b"[" + base64.b64encode(pcm) + b"]"
        result = self.link.decode(data, 1, len(data) - 1)
        assert result >= 0
        if not result:
            return b""
        message = json.loads(self.link.buffer[result & OFFSET :])
        ulaw = base64.b64decode(message["a"]["b"], validate=True)
        assert len(ulaw) == result >> 32
        assert self.link.ulaw(len(ulaw)) == ulaw
        return ulaw


def tone(hz: float, samples: int, rate: int, amplitude: float = 8000) -> Pcm:
    wave = amplitude * np.sin(2 * np.pi * hz * np.arange(samples) / rate)
    return np.round(wave).astype(np.int16)


def level_db(signal: npt.NDArray[Any], hz: float, rate: int) -> float:
    """The level of one frequency in `signal`, dB over 1."""
    window = np.hanning(len(signal))
    wave = np.exp(-2j * np.pi * hz * np.arange(len(signal)) / rate)
    return float(20 * np.log10(2 * abs((signal * window * wave).sum()) / window.sum() + 1e-9))


def lag_ms(heard: npt.NDArray[Any], sent: npt.NDArray[Any], hz: float, rate: int) -> float:
    """How much later a tone is in `heard`, from its phase (within half a period)."""
    wave = np.exp(-2j * np.pi * hz * np.arange(len(sent)) / rate)
    shift = np.angle((sent * wave).sum()) - np.angle((heard * wave).sum())
    return float((shift + np.pi) % (2 * np.pi) - np.pi) / (2 * np.pi * hz) * 1000
