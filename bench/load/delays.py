"""Delays as HDR histograms: microseconds up to a minute, three significant digits.

They are kept raw while a run goes on, filled in when it is over, and travel encoded (HdrHistogram V2,
compressed, base64), so that runs can be put together later without losing their tails.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from hdrh.histogram import HdrHistogram

QUANTILES: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
_MOST_US: Final = 60_000_000


def empty() -> HdrHistogram:
    return HdrHistogram(1, _MOST_US, 3)


def encode(delays_ns: Sequence[int]) -> str:
    """The histogram of these, as text. What took more than a minute counts as a minute."""
    histogram = empty()
    delays_us = np.clip(np.asarray(delays_ns, np.int64) // 1000, 1, _MOST_US)
    for value, count in zip(*np.unique(delays_us, return_counts=True), strict=True):
        histogram.record_value(int(value), int(count))
    return str(histogram.encode().decode())


def together(encoded: Iterable[str]) -> HdrHistogram:
    """One histogram of several runs."""
    histogram = empty()
    for text in encoded:
        histogram.decode_and_add(text)
    return histogram


def quantile_ms(histogram: HdrHistogram, percent: float) -> float:
    """NaN when nothing was heard."""
    if not histogram.get_total_count():
        return float("nan")
    value = histogram.get_max_value() if percent >= 100 else histogram.get_value_at_percentile(percent)
    return float(value) / 1000
