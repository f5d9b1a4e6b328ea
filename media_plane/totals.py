"""Sums over many calls, fast enough to be made while they talk: whoever makes them keeps the GIL."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import numpy as np

from media_plane.call.histogram import Histogram
from media_plane.call.tally import Tally


def total(tallies: Sequence[Tally]) -> Tally:
    """A tally of its own that counts what all of them count."""
    summed = Tally()
    for tally in tallies:
        summed.add_counts(tally)
    summed.up_latency = merged([tally.up_latency for tally in tallies])
    summed.down_latency = merged([tally.down_latency for tally in tallies])
    summed.response = merged([tally.response for tally in tallies])
    return summed


def merged(histograms: Sequence[Histogram]) -> Histogram:
    """One that has observed what all of them have."""
    one = Histogram()
    if histograms:
        counts = np.add.reduce([np.frombuffer(histogram.counts, np.uint64) for histogram in histograms])
        one.counts = array("Q", counts.tobytes())
        one.max_us = max(histogram.max_us for histogram in histograms)
    return one
