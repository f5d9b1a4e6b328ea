"""When a worker that died comes back. Pure: time is passed in."""

from __future__ import annotations

FIRST_DELAY_S = 0.5
MAX_DELAY_S = 30.0
STEADY_S = 60.0  # one that served so long starts with a clean slate
MAX_FAILED_STARTS = 3  # in a row, before everything served for the first time


class Restarts:
    """One worker's deaths.

    total: restarts so far; failed_starts: deaths in a row before the worker served.
    """

    def __init__(self) -> None:
        self.total = 0
        self.failed_starts = 0
        self._delay_s = FIRST_DELAY_S

    def died(self, served_s: float | None) -> float:
        """The worker ended without being asked, after serving for `served_s`; None: it never served.

        Returns how long to wait before it is started again.
        """
        self.total += 1
        self.failed_starts = self.failed_starts + 1 if served_s is None else 0
        if served_s is not None and served_s >= STEADY_S:
            self._delay_s = FIRST_DELAY_S
        delay_s = self._delay_s
        self._delay_s = min(2 * delay_s, MAX_DELAY_S)
        return delay_s
