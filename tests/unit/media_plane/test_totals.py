from __future__ import annotations

import random

from media_plane.call.tally import Tally
from media_plane.totals import merged, total


def tally(seed: int) -> Tally:
    rng = random.Random(seed)
    one = Tally()
    for histogram in (one.up_latency, one.down_latency, one.response):
        for _ in range(200):
            histogram.observe(int(rng.lognormvariate(6, 3)))
    one.caller_samples, one.interruptions = rng.randrange(10**6), rng.randrange(9)
    return one


def test_a_total_is_what_adding_one_by_one_gives() -> None:
    tallies = [tally(seed) for seed in range(5)]
    slowly = Tally()
    for one in tallies:
        slowly.add(one)
    at_once = total(tallies)
    assert at_once.summary(first_audio_ms=1, setup_ms=2, prewarmed=True) == slowly.summary(
        first_audio_ms=1, setup_ms=2, prewarmed=True
    )
    for name in ("up_latency", "down_latency", "response"):
        ours, theirs = getattr(at_once, name), getattr(slowly, name)
        assert (ours.counts, ours.total_us, ours.max_us) == (theirs.counts, theirs.total_us, theirs.max_us)


def test_the_total_goes_its_own_way() -> None:
    one = tally(1)
    before = one.up_latency.frames
    total([one]).up_latency.observe(5)
    assert one.up_latency.frames == before
    assert merged([]).frames == 0
