"""Many senders on one absolute clock: each is called once a period at its own phase, never skipped."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable, Sequence


class Metronome:
    """Calls every sender once a period; `lateness_ns` holds how late each call was while `counting`.

    Open loop: the n-th call of a sender is due at base + n·period + phase whatever happened to the ones
    before, so a stalled receiver cannot slow the load down.
    """

    def __init__(self, period_ms: int, senders: Sequence[Callable[[], None]]) -> None:
        self._period_ns = period_ms * 1_000_000
        self._senders = senders
        self._step_ns = self._period_ns / len(senders)
        self._sent = 0
        self._base_ns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.counting = False
        self.lateness_ns = array("q")

    def start(self) -> None:
        self._base_ns = time.monotonic_ns()
        self._run()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _due(self) -> int:
        rounds, index = divmod(self._sent, len(self._senders))
        return self._base_ns + rounds * self._period_ns + int(index * self._step_ns)

    def _run(self) -> None:
        due = self._due()
        now = time.monotonic_ns()
        while due <= now:
            if self.counting:
                self.lateness_ns.append(now - due)
            self._senders[self._sent % len(self._senders)]()
            self._sent += 1
            due = self._due()
            now = time.monotonic_ns()
        # uvloop's timers count whole milliseconds, and it would spin through a fraction of one.
        self._timer = self._loop.call_later(max((due - now) / 1e9, 0.001), self._run)
