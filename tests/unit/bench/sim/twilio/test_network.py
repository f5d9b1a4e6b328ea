"""Departures of the callee's frames under jitter, bunching and loss."""

from __future__ import annotations

import itertools

from bench.sim.twilio.network import Departures
from bench.sim.twilio.persona import Network

FRAME_NS = 20_000_000


def times(network: Network, seed: int = 7, frames: int = 2000) -> list[int | None]:
    departures = Departures(network, seed)
    delays = [departures.delay_ns(n) for n in range(frames)]
    return [None if delay is None else n * FRAME_NS + delay for n, delay in enumerate(delays)]


def test_a_perfect_network_delays_nothing() -> None:
    assert Departures(Network(), 1).perfect
    assert times(Network(), frames=50) == [n * FRAME_NS for n in range(50)]


def test_jitter_is_bounded_keeps_order_and_does_not_drift() -> None:
    sent = [t for t in times(Network(jitter_ms=60)) if t is not None]
    assert sent == sorted(sent)
    late = [t - n * FRAME_NS for n, t in enumerate(sent)]
    assert min(late) >= 0
    assert max(late) <= 60_000_000
    assert max(late) > 50_000_000


def test_bunched_frames_leave_together_with_the_next() -> None:
    sent = [t for t in times(Network(bunch=0.3)) if t is not None]
    together = sum(a == b for a, b in itertools.pairwise(sent))
    assert 300 < together < 600
    assert {t - n * FRAME_NS for n, t in enumerate(sent)} == {0, FRAME_NS}


def test_loss_leaves_gaps() -> None:
    departures = Departures(Network(loss=0.1), 7)
    lost = sum(departures.delay_ns(n) is None for n in range(2000))
    assert lost == departures.lost
    assert 140 < lost < 260


def test_the_seed_decides() -> None:
    network = Network(jitter_ms=30, bunch=0.1, loss=0.05)
    assert times(network, 1) == times(network, 1)
    assert times(network, 1) != times(network, 2)
