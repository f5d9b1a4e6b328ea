"""Prometheus: everything is read when it is scraped, so that counting costs the frame path nothing more.

The exposition runs in its own thread; it reads integers that only the loop's thread writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from media_plane.call.histogram import Histogram, upper_edge
from media_plane.dsp.codec import Codecs
from media_plane.loop.beat import Beat
from media_plane.loop.collection import Collection
from media_plane.loop.watchdog import Watchdog
from media_plane.node import Node
from media_plane.rpc.outbox import Outbox

_EDGES = range(23, 152, 8)  # the last bucket of every doubling: le = 32 µs, 64 µs, … 2 s
_PAGE = os.sysconf("SC_PAGE_SIZE")


def resident_bytes() -> int:
    """Memory of this process; 0 where the kernel does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


class NodeCollector(Collector):
    """Names and units of every figure this node gives."""

    def __init__(self, node: Node, outbox: Outbox, codecs: Codecs) -> None:
        self._node = node
        self._outbox = outbox
        self._codecs = codecs

    def collect(self) -> Iterator[Metric]:
        node, counters = self._node, self._node.counters
        sessions = node.sessions
        tally = node.tally()
        live = sum(session.start_ns > 0 for session in sessions)
        yield _gauge(
            "voiceplane_media_calls_prepared", "Calls whose stream has not started", len(sessions) - live
        )
        yield _gauge("voiceplane_media_calls_live", "Calls with audio flowing", live)
        yield _gauge("voiceplane_media_capacity", "Calls this node admits", node.capacity)
        yield _gauge("voiceplane_media_draining", "1 while the node shuts down", int(node.draining))
        yield _counter("voiceplane_media_calls", "Calls admitted", counters.calls)
        yield _labelled("voiceplane_media_calls_ended", "Media legs that are over", "reason", counters.ended)
        yield _labelled(
            "voiceplane_media_streams_refused",
            "Streams not let in, or thrown out",
            "reason",
            counters.refused,
        )
        yield _labelled(
            "voiceplane_media_model_failures", "Model sessions not opened", "kind", counters.failures
        )
        yield _labelled(
            "voiceplane_media_dropped_frames",
            "Audio messages dropped: congested socket, or nobody to hear them",
            "direction",
            {"up": tally.dropped_up, "down": tally.dropped_down},
        )
        yield _counter(
            "voiceplane_media_interruptions",
            "Times a caller spoke over the agent",
            tally.interruptions,
        )
        yield _counter(
            "voiceplane_media_peer_errors",
            "Messages that could not be understood",
            tally.peer_errors,
        )
        yield _labelled(
            "voiceplane_media_tool_calls",
            "The model's function calls: called, repeated (answered by an earlier one's execution), "
            "cancelled, timed_out, late (answers dropped), refused, ends_called_off",
            "what",
            asdict(node.tool_counts()),
        )
        yield _gauge(
            "voiceplane_media_events_waiting", "Call events not yet in Redis", self._outbox.counts.waiting
        )
        yield _counter(
            "voiceplane_media_events_sent", "Call events written to Redis", self._outbox.counts.written
        )
        yield _counter(
            "voiceplane_media_events_dropped",
            "Call events lost for want of room",
            self._outbox.counts.dropped,
        )
        yield _held_back(
            "voiceplane_media_resampler_held_back_seconds",
            "Audio the live resampler keeps to itself, beside its filter's delay: recent mean",
            self._codecs.name,
            self._codecs.held_back_ms,
        )
        yield _held_back(
            "voiceplane_media_resampler_held_back_max_seconds",
            "The most audio the live resampler ever kept to itself",
            self._codecs.name,
            self._codecs.most_held_back_ms,
        )
        added = HistogramMetricFamily(
            "voiceplane_media_added_delay_seconds",
            "Socket read to socket write, per audio message",
            labels=["direction"],
        )
        for direction, histogram in (("up", tally.up_latency), ("down", tally.down_latency)):
            added.add_metric([direction], list(_buckets(histogram)), histogram.total_us / 1e6)
        yield added
        yield histogram_family(
            "voiceplane_media_response_seconds",
            "End of the caller's words to the agent's first audio written, per turn",
            tally.response,
        )


class LoopCollector(Collector):
    """How well the loop keeps its time, and what the garbage collector takes of it."""

    def __init__(self, beat: Beat, watchdog: Watchdog, collection: Collection) -> None:
        self._beat = beat
        self._watchdog = watchdog
        self._collection = collection

    def collect(self) -> Iterator[Metric]:
        yield histogram_family(
            "voiceplane_media_loop_lag_seconds", "How late the loop's pulse was", self._beat.lag
        )
        yield _counter(
            "voiceplane_media_deadline_misses", "Pulses later than a frame's 20 ms", self._beat.misses
        )
        yield _counter(
            "voiceplane_media_loop_stalls",
            "Times something kept the loop, see the log",
            self._watchdog.stalls,
        )
        pauses = HistogramMetricFamily(
            "voiceplane_media_gc_pause_seconds", "Garbage collections", labels=["generation"]
        )
        for generation, histogram in enumerate(self._collection.pauses):
            pauses.add_metric([str(generation)], list(_buckets(histogram)), histogram.total_us / 1e6)
        yield pauses
        yield _gauge(
            "voiceplane_media_gc_tracked_objects",
            "Objects the collector would look at: those made since the start",
            self._collection.tracked,
        )


class MetricsServer:
    """Serves /metrics. `start` returns the port bound."""

    def __init__(self, *collectors: Collector) -> None:
        self._registry = CollectorRegistry()
        for collector in collectors:
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._running: tuple[WSGIServer, Thread] | None = None

    def start(self, host: str, port: int) -> int:
        self._running = start_http_server(port, host, registry=self._registry)
        return self._running[0].server_port

    def stop(self) -> None:
        if self._running is not None:
            server, thread = self._running
            server.shutdown()
            server.server_close()
            thread.join()


def _buckets(histogram: Histogram) -> Iterator[tuple[str, float]]:
    total = 0
    begin = 0
    for edge in _EDGES:
        total += sum(histogram.counts[begin : edge + 1])
        begin = edge + 1
        yield str(upper_edge(edge) / 1e6), total
    yield "+Inf", total


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _held_back(name: str, text: str, resampler: str, up_down_ms: tuple[float, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["resampler", "direction"])
    for direction, held_ms in zip(("up", "down"), up_down_ms, strict=True):
        family.add_metric([resampler, direction], held_ms / 1000)
    return family


def histogram_family(name: str, text: str, histogram: Histogram) -> Metric:
    """What a histogram of microseconds counted, in seconds."""
    return HistogramMetricFamily(
        name, text, buckets=list(_buckets(histogram)), sum_value=histogram.total_us / 1e6
    )


def _labelled(name: str, text: str, label: str, values: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in list(values.items()):
        family.add_metric([value], count)
    return family
