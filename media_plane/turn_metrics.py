"""Figures of turn-taking that is done here: turns found by the node, and agents held; read when scraped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from media_plane.call.hold import HoldCounts
from media_plane.io.listener import Listener


class TurnCollector(Collector):
    """Names and units."""

    def __init__(self, listener: Listener, holds: HoldCounts) -> None:
        self._listener = listener
        self._holds = holds

    def collect(self) -> Iterator[Metric]:
        yield from self._turns()
        yield from self._held()

    def _turns(self) -> Iterator[Metric]:
        counts = self._listener.counts
        yield _counters(
            "voiceplane_media_vad_turns",
            "Turns of callers that this node began or ended (mode MANUAL)",
            "edge",
            {"start": counts.starts, "end": counts.ends},
        )
        yield _counters(
            "voiceplane_media_vad_pieces",
            "Pieces of 32 ms of callers' audio, by what became of them",
            "judged",
            {"detector": counts.judged, "level": counts.quiet, "not": counts.skipped},
        )
        yield _counter(
            "voiceplane_media_vad_withheld_seconds",
            "Caller audio in no turn, not sent to the model",
            counts.withheld_samples / 16_000,
        )
        yield _counter(
            "voiceplane_media_vad_busy_seconds",
            "Time of the loop spent telling speech",
            self._listener.busy_ns / 1e9,
        )

    def _held(self) -> Iterator[Metric]:
        holds = self._holds
        yield _counters(
            "voiceplane_media_holds",
            "Times that an agent was held because the caller spoke over it, by what came of it",
            "outcome",
            {"confirmed": holds.confirmed, "in_vain": holds.in_vain, "impossible": holds.impossible},
        )
        yield _counter("voiceplane_media_hold_seconds", "For how long agents were held", holds.held_ns / 1e9)
        yield _counter(
            "voiceplane_media_holds_given_up",
            "Calls in which agents are not held any more, after several times in vain",
            holds.given_up,
        )


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, number in values.items():
        family.add_metric([value], number)
    return family
