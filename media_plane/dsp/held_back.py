"""How much audio a resampler keeps to itself: counted while it runs, not looked up.

A resampler that has taken in a second and given out 0.9 holds 100 ms back, whatever its filter's delay: who
listens waits that much longer.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pcm = NDArray[np.int16]

_CHUNKS = 1024  # the mean forgets at this pace: 20 s of one call's frames, a second of twenty calls'


class Resampler(Protocol):
    """A stream of int16 in, a stream of int16 out, of any lengths."""

    def process(self, pcm: Pcm) -> Pcm: ...
    def reset(self) -> None: ...


class HeldBack:
    """Observed after each chunk, in ms: the mean over the last ones, whichever call's, and the most ever."""

    __slots__ = ("_seen", "mean_ms", "most_ms")

    def __init__(self) -> None:
        self.mean_ms = 0.0
        self.most_ms = 0.0
        self._seen = 0

    def observe(self, held_ms: float) -> None:
        self._seen = min(self._seen + 1, _CHUNKS)
        self.mean_ms += (held_ms - self.mean_ms) / self._seen
        self.most_ms = max(self.most_ms, held_ms)


class Metered:
    """A resampler whose samples in and out are counted; what is missing between them goes to `held`."""

    def __init__(self, resampler: Resampler, rate_in: int, rate_out: int, held: HeldBack) -> None:
        self._resampler = resampler
        self._ms_in = 1000 / rate_in
        self._ms_out = 1000 / rate_out
        self._held = held
        self._taken = self._given = 0

    def process(self, pcm: Pcm) -> Pcm:
        out = self._resampler.process(pcm)
        self._taken += len(pcm)
        self._given += len(out)
        self._held.observe(self._taken * self._ms_in - self._given * self._ms_out)
        return out

    def reset(self) -> None:
        self._resampler.reset()
        self._taken = self._given = 0
