"""Figures of sessions that were renewed; read when scraped."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from media_plane.call.continuity import RenewalCounts
from media_plane.metrics import histogram_family


class RenewalCollector(Collector):
    """Names and units."""

    def __init__(self, counts: RenewalCounts) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        counts = self._counts
        renewals = CounterMetricFamily(
            "voiceplane_media_session_renewals",
            "Sessions of the model's that ended during a call, by why and by what followed: a resumed one, a "
            "fresh one, or the call's end (failed)",
            labels=["cause", "outcome"],
        )
        for (cause, outcome), number in list(counts.renewals.items()):
            renewals.add_metric([cause.value, outcome.value], number)
        yield renewals
        yield _counter("tries", "Attempts to open another session for a call", counts.tries)
        yield histogram_family(
            "voiceplane_media_session_gap_seconds", "Time in which a call had no session", counts.gap
        )
        yield _counter(
            "replayed_seconds",
            "Caller audio said again, or late, to the next session",
            counts.replayed_samples / 8000,
        )
        yield _counter(
            "lost_seconds",
            "Caller audio that could not be said again: too long ago",
            counts.lost_samples / 8000,
        )
        yield _counter("told_turns", "Turns told to the next session in words", counts.told)
        yield _counter(
            "go_on", "Answers that broke off, which the next session was asked to finish", counts.go_on
        )


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"voiceplane_media_session_{name}", text, value=value)
