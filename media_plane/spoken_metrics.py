"""Figures of sentences that are made ahead (docs/stalls.md); read when scraped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class SpokenLineCollector(Collector):
    """`counts`: as of io.spoken_lines."""

    def __init__(self, counts: Counter[str]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        lines = CounterMetricFamily(
            "voiceplane_media_spoken_lines",
            "Sentences for callers whose model is silent: made, reused from Redis, refused because the model "
            "said something else, failed",
            labels=["outcome"],
        )
        for outcome, count in list(self._counts.items()):
            lines.add_metric([outcome], count)
        yield lines
