"""How late something periodic was, as a histogram that never grows."""

from __future__ import annotations

from bisect import bisect_left

_BOUNDS_US = (
    50,
    100,
    200,
    300,
    500,
    700,
    1000,
    1500,
    2000,
    3000,
    5000,
    7000,
    10_000,
    20_000,
    50_000,
    100_000,
)


class Lateness:
    """Counts delays in classes of about half a factor of two."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS_US) + 1)
        self._total = 0
        self._max_us = 0.0

    def add(self, late_ns: int) -> None:
        """One delay; early counts as on time."""
        late_us = max(0.0, late_ns / 1000)
        self._counts[bisect_left(_BOUNDS_US, late_us)] += 1
        self._total += 1
        self._max_us = max(self._max_us, late_us)

    def percentile_ms(self, percent: float) -> float:
        """An upper bound of the percentile (the upper edge of its class, and never more than the maximum)."""
        rank = self._total * percent / 100
        seen = 0
        for bound, count in zip(_BOUNDS_US, self._counts, strict=False):
            seen += count
            if seen >= rank:
                return min(bound, self._max_us) / 1000
        return self._max_us / 1000

    def shown(self) -> dict[str, float]:
        """Milliseconds."""
        return {
            "p50": round(self.percentile_ms(50), 3),
            "p99": round(self.percentile_ms(99), 3),
            "max": round(self._max_us / 1000, 3),
            "frames": self._total,
        }
