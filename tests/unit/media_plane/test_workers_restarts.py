"""How long a worker that died stays away."""

from __future__ import annotations

from media_plane.workers.restarts import Restarts


def test_each_death_waits_twice_as_long_up_to_half_a_minute() -> None:
    restarts = Restarts()
    assert [restarts.died(1.0) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert restarts.total == 8


def test_a_worker_that_served_for_a_minute_comes_back_soon() -> None:
    restarts = Restarts()
    for _ in range(5):
        restarts.died(1.0)
    assert restarts.died(60.0) == 0.5
    assert restarts.died(59.0) == 1


def test_failed_starts_count_in_a_row() -> None:
    restarts = Restarts()
    restarts.died(None)
    restarts.died(None)
    assert restarts.failed_starts == 2
    restarts.died(0.1)
    assert restarts.failed_starts == 0
