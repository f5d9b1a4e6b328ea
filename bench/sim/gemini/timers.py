"""Things that will happen in a session, ordered by when. No clock: the caller passes the time."""

from __future__ import annotations

import heapq
from collections.abc import Callable

Callback = Callable[[int], None]
"""Called with the time at which it was due (ns), however late the loop is: what follows counts from that."""


class Timer:
    """One thing that will happen, unless cancelled."""

    __slots__ = ("callback", "due_ns")

    def __init__(self, due_ns: int, callback: Callback) -> None:
        self.due_ns = due_ns
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Never call it. Harmless when it has been called."""
        self.callback = None


class Timers:
    """A queue of timers. Two that are due at once run in the order they were set."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timer]] = []
        self._count = 0

    def at(self, due_ns: int, callback: Callback) -> Timer:
        """Call `callback` once `advance` reaches `due_ns`."""
        timer = Timer(due_ns, callback)
        self._count += 1
        heapq.heappush(self._heap, (due_ns, self._count, timer))
        return timer

    @property
    def next_ns(self) -> int | None:
        """When `advance` has something to do, or None."""
        while self._heap and self._heap[0][2].callback is None:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def advance(self, now_ns: int) -> None:
        """Run everything due by `now_ns`, in order, including what that sets for before `now_ns`."""
        while (due_ns := self.next_ns) is not None and due_ns <= now_ns:
            timer = heapq.heappop(self._heap)[2]
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback(due_ns)

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()
