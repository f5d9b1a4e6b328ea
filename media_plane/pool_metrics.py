"""Figures of the pool of warm connections, and of calls that were prepared for nobody; read when scraped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from media_plane.node import Node


class PoolCollector(Collector):
    """Names and units; `level` is session, socket or cold, what a call was given."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def collect(self) -> Iterator[Metric]:
        yield from self._pool()
        yield from self._unanswered()

    def _pool(self) -> Iterator[Metric]:
        pool = self._node.pool
        counts = pool.counts
        wait = SummaryMetricFamily(
            "voiceplane_media_pool_wait_seconds",
            "From a call's asking for a session to its having one",
            labels=["level"],
        )
        age = SummaryMetricFamily(
            "voiceplane_media_pool_age_seconds",
            "Age of the connections that calls were given",
            labels=["level"],
        )
        for level, taken in counts.taken.items():
            wait.add_metric([level], taken.count, taken.wait_ns / 1e9)
            age.add_metric([level], taken.count, taken.age_ns / 1e9)
        yield wait
        yield age
        yield _gauges("voiceplane_media_pool_warm", "Connections warm now", "level", pool.held())
        yield _gauges("voiceplane_media_pool_target", "Connections to keep warm", "level", pool.wanted())
        yield _counters(
            "voiceplane_media_pool_opened", "Connections that the pool has warmed", "level", counts.opened
        )
        yield _counters(
            "voiceplane_media_pool_discarded",
            "Warm connections that no call was given",
            "reason",
            counts.discarded,
        )
        yield _counters(
            "voiceplane_media_pool_failures", "Connections that could not be warmed", "kind", counts.failures
        )

    def _unanswered(self) -> Iterator[Metric]:
        missed = self._node.unanswered
        yield _counters(
            "voiceplane_media_unanswered", "Calls prepared that nobody answered", "reason", missed.calls
        )
        yield CounterMetricFamily(
            "voiceplane_media_unanswered_sessions",
            "Model sessions that were open for them, and released",
            value=missed.sessions,
        )
        yield CounterMetricFamily(
            "voiceplane_media_unanswered_audio_seconds",
            "Agent audio made for them and never played",
            value=missed.audio_ms / 1000,
        )
        yield _counters(
            "voiceplane_media_unanswered_tokens",
            "Tokens the model counted for them",
            "kind",
            {"prompt": missed.prompt_tokens, "response": missed.response_tokens},
        )
        yield CounterMetricFamily(
            "voiceplane_media_hello_seconds",
            "Caller audio that a greeting answered, not sent to the model",
            value=self._node.hello_samples / 8000,
        )


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, number in list(values.items()):
        family.add_metric([value], number)
    return family
