"""Figures of models that were silent when they should have spoken (docs/stalls.md); read when scraped."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from media_plane.call.stall import StallBook


class StallCollector(Collector):
    """Names and units; label values are those of `call.stall`."""

    def __init__(self, book: StallBook) -> None:
        self._book = book

    def collect(self) -> Iterator[Metric]:
        counts = self._book.counts
        stalls = CounterMetricFamily(
            "voiceplane_media_stalls", "Times a model was silent when it should have spoken", labels=["cause"]
        )
        for cause, count in list(counts.stalls.items()):
            stalls.add_metric([cause.value], count)
        yield stalls
        rungs = CounterMetricFamily(
            "voiceplane_media_stall_rungs",
            "What was done about it, once it is known what came of that",
            labels=["cause", "rung", "outcome"],
        )
        for (cause, rung, outcome), count in list(counts.rungs.items()):
            rungs.add_metric([cause.value, rung.value, outcome.value], count)
        yield rungs
        yield CounterMetricFamily(
            "voiceplane_media_stall_silence_seconds",
            "How long callers waited in stalls that are over",
            value=counts.silent_ms / 1000,
        )
        yield CounterMetricFamily(
            "voiceplane_media_declined_turns",
            "Turns that an agent which may stay silent left unanswered",
            value=counts.declined,
        )
        waits = GaugeMetricFamily(
            "voiceplane_media_normal_reply_seconds",
            "What a healthy answer may take, as learned; spoken: of the caller's words, asked: of a text",
            labels=["model", "kind"],
        )
        for (model, kind), seconds in self._book.times.normal_s().items():
            waits.add_metric([model, kind], seconds)
        yield waits
