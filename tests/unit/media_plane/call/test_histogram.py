from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_plane.call.histogram import BUCKETS, Histogram, bucket, upper_edge


def test_buckets_follow_each_other_without_gap_or_overlap() -> None:
    expected, micros = 0, 0
    while micros < 200_000:
        if micros == upper_edge(expected):
            expected += 1
        assert bucket(micros) == expected
        micros += 1


@given(st.integers(0, 2**40))
def test_every_value_lies_below_the_edge_of_its_bucket(micros: int) -> None:
    index = bucket(micros)
    assert 0 <= index < BUCKETS
    assert micros < upper_edge(index) or index == BUCKETS - 1
    assert index == 0 or micros >= upper_edge(index - 1)


def test_what_is_noted_is_counted_once_when_it_is_settled() -> None:
    histogram = Histogram()
    for nanos in (1_999, 2_000, 5_000_999):
        histogram.note(nanos)
    assert histogram.frames == 0
    histogram.settle()
    histogram.settle()
    assert (histogram.frames, histogram.counts[1], histogram.counts[2], histogram.max_us) == (3, 1, 1, 5000)


@given(st.lists(st.integers(0, 2_000_000), min_size=1, max_size=300))
def test_a_percentile_is_right_to_within_an_eighth(values: list[int]) -> None:
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    values.sort()
    for quantile, found in zip((0.5, 0.99), histogram.percentiles((0.5, 0.99)), strict=True):
        rank = next(i for i in range(len(values)) if i + 1 >= quantile * len(values))
        assert values[rank] <= found <= max(values[rank] * 1.125 + 1, values[rank] + 1)
    assert histogram.frames == len(values)
    assert histogram.max_us == values[-1]
    assert histogram.total_us == pytest.approx(sum(values), rel=0.0625, abs=1)


def test_an_empty_histogram_has_only_zeros() -> None:
    latency = Histogram().latency()
    assert (latency.frames, latency.p50_us, latency.p99_us, latency.max_us) == (0, 0, 0, 0)


def test_merging_is_the_same_as_observing_in_one_place() -> None:
    one, two, both = Histogram(), Histogram(), Histogram()
    for value in (3, 70, 900):
        one.observe(value)
        both.observe(value)
    for value in (70, 5_000_000):
        two.observe(value)
        both.observe(value)
    one.merge(two)
    assert (one.counts, one.total_us, one.max_us) == (both.counts, both.total_us, both.max_us)


@pytest.mark.parametrize("quantiles", [(0.1, 0.5, 0.9, 0.99, 1.0)])
def test_percentiles_never_fall(quantiles: tuple[float, ...]) -> None:
    histogram = Histogram()
    for value in range(1000):
        histogram.observe(value * value)
    found = histogram.percentiles(quantiles)
    assert found == sorted(found)
    assert found[-1] == histogram.max_us
