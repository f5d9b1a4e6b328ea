"""Every sender of the load on one absolute clock: each is called once a period, in a slot of its own, never
skipped."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Sequence
from time import monotonic_ns
from typing import Final

SLOT_NS: Final = 1_000_000  # a wake-up sends for all calls of a slot: timers count whole milliseconds
Send = Callable[[int], None]  # is given the time at which it is called


def spread(period_ms: int, senders: Sequence[Send], cycle_ms: int) -> list[list[Send]]:
    """The senders of each slot of `cycle_ms` (a multiple of the period), evenly over the period."""
    slots: list[list[Send]] = [[] for _ in range(cycle_ms)]
    for index, sender in enumerate(senders):
        for begin in range(0, cycle_ms, period_ms):
            slots[begin + index * period_ms // len(senders)].append(sender)
    return slots


class Metronome:
    """Calls the senders of slot i at base + i ms of each cycle; `lateness_ns` holds how late each call was
    while `counting`.

    Open loop: when a send is due is settled before the first one, so a stalled receiver cannot slow the load
    down.
    """

    def __init__(self, slots: Sequence[Sequence[Send]]) -> None:
        self._slots = slots
        self._slot = 0
        self._due_ns = 0
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.counting = False
        self.lateness_ns = array("q")

    def start(self) -> None:
        self._due_ns = monotonic_ns()
        self._run()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _run(self) -> None:
        now = monotonic_ns()
        slots, due, record = self._slots, self._due_ns, self.lateness_ns.append
        while due <= now:
            for send in slots[self._slot]:
                send(now)
                if self.counting:
                    record(now - due)
                now = monotonic_ns()
            self._slot = (self._slot + 1) % len(slots)
            due += SLOT_NS
        while not slots[self._slot]:  # nothing to do then
            self._slot = (self._slot + 1) % len(slots)
            due += SLOT_NS
        self._due_ns = due
        # uvloop would spin through a fraction of a millisecond.
        self._timer = self._loop.call_later(max((due - now) / 1e9, 0.001), self._run)
