"""How an answer's audio leaves: in irregular chunks, several times faster than it plays.

Source: field measurements of 3.8 (about 3.3 times real time, several parts a frame, sometimes slower).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

RATE: Final = 24_000


@dataclass(frozen=True, slots=True)
class Pace:
    """`factor`: times real time. `chunk_ms`: shortest and longest chunk. `hiccup`: chance that a chunk is
    late by up to `hiccup_ms`; the ones after it catch up."""

    factor: float = 3.3
    chunk_ms: tuple[int, int] = (40, 260)
    hiccup: float = 0.05
    hiccup_ms: int = 150


class Pacer:
    """Plans one answer's chunks. Same seed, same plan."""

    def __init__(self, pace: Pace, rng: random.Random) -> None:
        self._pace = pace
        self._rng = rng

    def chunk_samples(self, *, first: bool) -> int:
        """Length of the next chunk. The first one is short: it leaves as soon as there is any sound."""
        low, high = self._pace.chunk_ms
        ms = low if first else self._rng.uniform(low, high)
        return int(ms * RATE / 1000)

    def part_samples(self, samples: int) -> list[int]:
        """Cut a chunk of `samples` into the parts of one frame: one to three, uneven."""
        count = min(self._rng.choice((1, 1, 1, 2, 3)), samples)
        cuts = sorted(self._rng.sample(range(1, samples), count - 1)) if count > 1 else []
        return [end - start for start, end in zip([0, *cuts], [*cuts, samples], strict=True)]

    def due_ns(self, base_ns: int, samples_before: int) -> int:
        """When the chunk that follows `samples_before` leaves, if generation began at `base_ns`."""
        due_ns = base_ns + int(samples_before * 1_000_000_000 / (RATE * self._pace.factor))
        if samples_before and self._rng.random() < self._pace.hiccup:
            due_ns += int(self._rng.uniform(0, self._pace.hiccup_ms) * 1_000_000)
        return due_ns
