from __future__ import annotations

from control_plane.service.views import ResponseTimes, response_times
from tests.support.records import turn


def test_turns_that_answered_the_caller_count() -> None:
    turns = [turn(1, response_ms=-1), turn(2, response_ms=900), turn(3, response_ms=700)]

    assert response_times(turns) == ResponseTimes(turns=2, p50_ms=800, max_ms=900)


def test_with_no_answers_nothing_is_known() -> None:
    assert response_times([turn(1, response_ms=-1)]) == ResponseTimes(0, None, None)
    assert response_times([]) == ResponseTimes(0, None, None)
