"""Calls per second: Twilio queues what comes faster, it doesn't refuse it. Source: Twilio's "Call queueing
and CPS".
"""

from __future__ import annotations

MAX_QUEUE_NS = 24 * 3600 * 1_000_000_000


class QueueFull(Exception):
    """The call would wait for more than 24 hours (error 22005)."""


class CallsPerSecond:
    """Gives every call its turn, in order. A rate of 0 doesn't queue."""

    def __init__(self, rate: float) -> None:
        self._interval_ns = int(1e9 / rate) if rate else 0
        self._next_ns = 0

    def reserve(self, now_ns: int) -> int:
        """When a call asked for at `now_ns` may be dialled (ns). Raises `QueueFull`."""
        start_ns = max(now_ns, self._next_ns)
        if start_ns - now_ns > MAX_QUEUE_NS:
            raise QueueFull
        self._next_ns = start_ns + self._interval_ns
        return start_ns
