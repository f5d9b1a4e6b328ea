"""Delays survive being put together, to three digits."""

import math

import pytest

from bench.load import delays

MS = 1_000_000


def test_quantiles_of_runs_put_together_are_those_of_all_their_delays() -> None:
    one = delays.encode([MS * n for n in range(1, 501)])
    other = delays.encode([MS * n for n in range(501, 1001)])
    whole = delays.together([one, other])
    assert whole.get_total_count() == 1000
    assert delays.quantile_ms(whole, 50) == pytest.approx(500, rel=1e-3)
    assert delays.quantile_ms(whole, 99) == pytest.approx(990, rel=1e-3)
    assert delays.quantile_ms(whole, 100) == pytest.approx(1000, rel=1e-3)


def test_a_delay_too_long_to_record_counts_as_the_longest() -> None:
    whole = delays.together([delays.encode([MS, 3600 * 1000 * MS])])
    assert whole.get_total_count() == 2
    assert delays.quantile_ms(whole, 100) == pytest.approx(60_000, rel=1e-3)


def test_nothing_heard_has_no_quantile() -> None:
    assert math.isnan(delays.quantile_ms(delays.together([delays.encode([])]), 50))
