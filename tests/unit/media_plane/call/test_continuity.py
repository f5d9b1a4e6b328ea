"""When a session is renewed, by what kind of session, and when no more."""

from __future__ import annotations

import pytest

from media_plane.call.continuity import Attempt, Cause, Continuity, Renewal, RenewalLimits

S = 1_000_000_000
MS = 1_000_000
START = 1000 * S


def policy(**limits: int) -> Continuity:
    made = Continuity(RenewalLimits(**limits), lambda: 0.5)
    made.began(START)
    return made


def with_handle(**limits: int) -> Continuity:
    made = policy(**limits)
    made.updated("h1", START)
    return made


@pytest.mark.parametrize(
    ("left_s", "pause", "settled", "after_s", "due"),
    [
        (60, True, True, 0, True),  # a pause: at once
        (60, False, True, 0, False),
        (60, True, False, 0, False),  # the handle does not remember the newest turn
        (60, False, False, 57, False),
        (60, False, False, 58, True),  # no time to wait for a pause
        (6, False, False, 3, False),
        (6, False, False, 4, True),
        (1, False, False, 0.3, True),
        (0, False, False, 0, True),
    ],
)
def test_go_away_is_obeyed_in_a_pause_or_at_the_last_moment(
    left_s: int, pause: bool, settled: bool, after_s: float, due: bool
) -> None:
    made = with_handle()
    if not settled:
        made.updated("", START + S)
    told = START + 10 * S
    made.go_away(left_s * 1000, told)
    assert (made.due(told + int(after_s * S), pause=pause) is Cause.GO_AWAY) is due


def test_an_answer_that_is_nearly_there_is_waited_for() -> None:
    made = with_handle()
    made.go_away(10_000, START)
    assert made.due(START + 9 * S, pause=False, answering=True) is None
    assert made.due(START + 9 * S, pause=False) is Cause.GO_AWAY
    assert made.due(START + 9_300 * MS, pause=False, answering=True) is Cause.GO_AWAY


def test_without_any_handle_a_pause_is_enough() -> None:
    made = policy()
    made.go_away(60_000, START)
    assert made.due(START, pause=True) is Cause.GO_AWAY


def test_nothing_is_due_before_the_age_limit_comes_near() -> None:
    made = with_handle(age_ns=600 * S)
    assert made.looks_from_ns == START + 540 * S
    assert made.due(START + 539 * S, pause=True) is None
    assert made.due(START + 541 * S, pause=False) is None
    assert made.due(START + 541 * S, pause=True) is Cause.AGE
    assert made.due(START + 600 * S, pause=False) is Cause.AGE


def test_a_second_go_away_can_only_shorten_the_time() -> None:
    made = with_handle()
    made.go_away(10_000, START)
    made.go_away(60_000, START + S)
    assert made.due(START + 8 * S, pause=False) is Cause.GO_AWAY


def test_a_renewal_under_way_is_not_begun_again() -> None:
    made = with_handle()
    made.go_away(0, START)
    made.begin(START)
    assert made.due(START + S, pause=True) is None


@pytest.mark.parametrize(
    ("handle", "asked", "code", "expected"),
    [
        ("h1", None, 1011, Attempt(Renewal.RESUME, "h1")),
        ("", None, 1011, Attempt(Renewal.FRESH)),
        ("h1", Renewal.FRESH, 0, Attempt(Renewal.FRESH)),
        ("", Renewal.RESUME, 0, Attempt(Renewal.FRESH)),
        ("h1", None, 1007, Attempt(Renewal.FRESH, replay=False)),
    ],
)
def test_the_first_try(handle: str, asked: Renewal | None, code: int, expected: Attempt) -> None:
    made = policy()
    if handle:
        made.updated(handle, START)
    assert made.begin(START + 100 * S, asked, code) == expected


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ([(1007, False)], Attempt(Renewal.FRESH)),  # the handle was refused
        ([(1008, False)], Attempt(Renewal.FRESH)),
        ([(1011, True)], Attempt(Renewal.RESUME, "h1")),  # the old socket was open yet, maybe
        ([(1011, True), (1011, True)], Attempt(Renewal.FRESH)),
        ([(1007, False), (1007, False)], Attempt(Renewal.FRESH, replay=False)),
        ([(1007, False)] * 3, Attempt(Renewal.FRESH, replay=False, tell=False)),
        ([(1007, False)] * 4, None),
        ([(1008, False), (1008, False)], None),  # nothing of what it is given is to blame
        ([(1007, False), (429, True)], Attempt(Renewal.FRESH)),
    ],
)
def test_the_next_try(failures: list[tuple[int, bool]], expected: Attempt | None) -> None:
    made = with_handle()
    found = made.begin(START + 100 * S)
    for code, retryable in failures:
        found = made.failed(code, retryable=retryable, now_ns=START + 100 * S)
    if found is not None:
        assert found.delay_ns > 0
        found = Attempt(found.how, found.handle, 0, found.replay, found.tell)
    assert found == expected
    assert made.under_way is (expected is not None)


def test_waits_double_up_to_four_seconds_and_end_with_the_call_s_patience() -> None:
    made = with_handle(within_ns=15 * S)
    now = START + 100 * S
    made.begin(now)
    delays = []
    while (found := made.failed(503, retryable=True, now_ns=now)) is not None:
        delays.append(found.delay_ns / S)
        now += found.delay_ns
    assert delays[:4] == [0.1875, 0.375, 0.75, 1.5]
    assert max(delays) <= 3
    assert now - START - 100 * S <= 15 * S


def test_sessions_that_end_at_once_are_renewed_ever_slower_and_then_no_more() -> None:
    made = with_handle(tries=5)
    now, delays = START + 100 * S, []
    while (found := made.begin(now)) is not None:
        delays.append(found.delay_ns)
        now += found.delay_ns + 300 * MS
        made.adopted(found.how, now)
        made.updated("h", now)
        now += 100 * MS
    assert len(delays) == 5
    assert delays == sorted(delays)
    assert delays[0] == 0 < delays[1]
    now += 60 * S
    again = made.begin(now)
    assert again is not None
    assert again.delay_ns == 0


def test_a_fresh_session_s_call_has_no_handle_until_one_comes() -> None:
    made = with_handle()
    made.begin(START + 10 * S, Renewal.FRESH)
    made.adopted(Renewal.FRESH, START + 11 * S)
    assert made.begin(START + 30 * S) == Attempt(Renewal.FRESH)


@pytest.mark.parametrize(
    ("before", "after", "forgotten"),
    [(4000, 300, True), (4000, 1500, False), (150, 10, False), (100_000, 50_000, False)],
)
def test_memory_is_gone_when_a_resumed_session_s_first_prompt_is_small(
    before: int, after: int, forgotten: bool
) -> None:
    made = with_handle()
    assert not made.prompted(before)
    made.begin(START + 10 * S)
    made.adopted(Renewal.RESUME, START + 11 * S)
    assert made.prompted(after) is forgotten
    assert not made.prompted(1)


def test_a_fall_in_a_session_that_was_not_resumed_means_nothing() -> None:
    made = with_handle()
    made.prompted(4000)
    assert not made.prompted(10)
