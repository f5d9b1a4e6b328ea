"""The loop's pulse: how late it gets to what is due, and the moment between frames for what can wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic_ns

from media_plane.call.histogram import Histogram

BEAT_S = 0.05
DEADLINE_US = 20_000  # a frame's length: later than this is heard


class Beat:
    """`between` is called at every beat with the time. Counts are read by the metrics' thread."""

    def __init__(self, between: Callable[[int], None]) -> None:
        self.lag = Histogram()  # µs
        self.misses = 0  # beats later than DEADLINE_US
        self.last_ns = monotonic_ns()  # read by the watchdog's thread
        self._between = between
        self._timer: asyncio.TimerHandle | None = None
        self._due_ns = 0

    def start(self) -> None:
        self._schedule(monotonic_ns())

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self, now_ns: int) -> None:
        self._due_ns = now_ns + int(BEAT_S * 1e9)
        self._timer = asyncio.get_running_loop().call_later(BEAT_S, self._beat)

    def _beat(self) -> None:
        now_ns = monotonic_ns()
        # uvloop's timers count whole milliseconds, and so may be early by almost one.
        late_us = max(now_ns - self._due_ns, 0) // 1000
        self.lag.observe(late_us)
        self.misses += late_us > DEADLINE_US
        self._between(now_ns)
        self.last_ns = monotonic_ns()
        self._schedule(self.last_ns)
