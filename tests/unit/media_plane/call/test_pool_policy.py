from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from media_plane.call.pool_policy import SOCKET, PoolLimits, PoolPolicy

S = 1_000_000_000
LIMITS = PoolLimits(
    total=32,
    sockets_min=2,
    sessions_min=0,
    sessions_max=8,
    opening=4,
    socket_age_ns=30 * S,
    session_age_ns=120 * S,
    window_ns=60 * S,
)
AGENT, OTHER = b'{"setup":1}', b'{"setup":2}'


def policy(chance: float = 1.0, **changes: int) -> PoolPolicy:
    return PoolPolicy(replace(LIMITS, **changes), lambda: chance)


def ask(pool: PoolPolicy, setup: bytes, per_s: float, seconds: int, start_s: int = 0) -> int:
    """Calls at a steady rate; returns the time of the last one."""
    gap_ns = int(S / per_s)
    times = range(start_s * S, (start_s + seconds) * S, gap_ns)
    for now_ns in times:
        pool.asked(setup, now_ns)
    return times[-1]


def test_without_calls_only_the_floor_of_sockets_is_kept() -> None:
    assert policy().targets(0) == {SOCKET: 2}


def test_a_setup_seen_once_is_not_worth_a_session() -> None:
    pool = policy()
    pool.asked(AGENT, 0)
    assert AGENT not in pool.targets(0)


def test_a_setup_that_comes_again_is_and_no_longer_when_it_stops_coming() -> None:
    pool = policy()
    pool.asked(AGENT, 0)
    pool.asked(AGENT, 5 * S)
    assert pool.targets(5 * S)[AGENT] == 1
    assert AGENT not in pool.targets(120 * S)


def test_size_follows_the_rate_of_calls_times_the_time_to_open_one() -> None:
    pool = policy(sessions_max=100, total=100)
    for _ in range(100):
        pool.opened(AGENT, S)  # a second to open one
    now_ns = ask(pool, AGENT, 4.0, 600)
    # Four calls come while one is opened, and twice the square root of it on top.
    assert pool.targets(now_ns)[AGENT] in (8, 9)


def test_slower_openings_need_more() -> None:
    slow, fast = policy(sessions_max=100, total=100), policy(sessions_max=100, total=100)
    for _ in range(100):
        slow.opened(AGENT, 2 * S)
        fast.opened(AGENT, S // 10)
    now_ns = ask(slow, AGENT, 2.0, 300)
    ask(fast, AGENT, 2.0, 300)
    assert slow.targets(now_ns)[AGENT] > 3 * fast.targets(now_ns)[AGENT] > 0


def test_sockets_follow_the_calls_that_found_no_session() -> None:
    pool = policy()
    for at in range(600):
        pool.missed(at * S // 10)
    assert pool.targets(60 * S)[SOCKET] > 2


def test_the_caps_hold_for_each_setup_and_over_all() -> None:
    pool = policy(total=6, sessions_max=3, sockets_min=1)
    for setup in (AGENT, OTHER):
        ask(pool, setup, 20.0, 60)
    targets = pool.targets(60 * S)
    assert targets[AGENT] <= 3
    assert targets[OTHER] <= 3
    assert sum(targets.values()) <= 6


def test_the_busier_setup_goes_first_when_there_is_not_room_for_both() -> None:
    pool = policy(total=3, sessions_max=2, sockets_min=1)
    ask(pool, OTHER, 1.0, 60)
    ask(pool, AGENT, 10.0, 60)
    assert pool.targets(60 * S) == {SOCKET: 1, AGENT: 2}


def test_a_floor_of_sessions_counts_for_setups_that_were_asked_for_lately() -> None:
    pool = policy(sessions_min=1)
    pool.asked(AGENT, 0)
    assert pool.targets(0)[AGENT] == 1
    assert AGENT not in pool.targets(600 * S)


def test_only_so_many_are_opened_at_once() -> None:
    step = policy(sockets_min=10).step({}, Counter({SOCKET: 3}), 0)
    assert step.open == [SOCKET]


def test_what_is_warm_or_being_warmed_is_not_opened_again() -> None:
    assert policy().step({SOCKET: 1}, Counter({SOCKET: 1}), 0).open == []


def test_spare_ones_stay_until_something_else_needs_their_place() -> None:
    pool = policy(total=4)
    assert pool.step({SOCKET: 2, OTHER: 2}, {}, 0).close == []
    ask(pool, AGENT, 1.0, 5)
    step = pool.step({SOCKET: 2, OTHER: 2}, {}, 5 * S)
    assert set(step.close) == {OTHER}
    assert set(step.open) == {AGENT}
    assert len(step.close) == len(step.open)


def test_after_a_failure_nothing_is_opened_for_a_while_and_then_one() -> None:
    pool = policy()
    pool.failed(0, S)
    assert pool.step({}, {}, S).open == []
    assert pool.step({}, {}, S + S // 2).open == [SOCKET]
    pool.opened(SOCKET, S // 10)
    assert pool.step({}, {}, 2 * S).open == [SOCKET, SOCKET]


def test_failures_without_a_quiet_time_between_them_back_off_to_a_minute() -> None:
    pool = policy()
    waits = []
    now_ns = S
    for _ in range(10):
        pool.failed(now_ns, now_ns)
        waits.append((pool.retry_ns - now_ns) / S)
        now_ns = pool.retry_ns
    assert waits[:4] == [0.5, 1, 2, 4]
    assert waits[-1] == 60


def test_what_opens_only_to_be_lost_at_once_backs_off_too() -> None:
    pool = policy()
    now_ns = S
    for _ in range(5):
        pool.failed(now_ns, now_ns)
        now_ns = pool.retry_ns
        pool.opened(SOCKET, S // 10)
    assert pool.retry_ns - now_ns == 0
    pool.failed(now_ns, now_ns)
    assert pool.retry_ns - now_ns == 16 * S


def test_a_failure_long_after_the_last_one_is_a_first_one() -> None:
    pool = policy()
    for now_ns in (S, 2 * S, 100 * S):
        pool.failed(now_ns, now_ns)
    assert pool.retry_ns == 100 * S + S // 2


def test_attempts_that_fail_together_count_as_one() -> None:
    pool = policy()
    pool.failed(S, 3 * S)
    pool.failed(2 * S, 3 * S + 1)
    assert pool.retry_ns == 3 * S + S // 2


def test_the_wait_is_jittered_between_half_and_whole() -> None:
    pool = policy(chance=0.0)
    pool.failed(S, S)
    assert pool.retry_ns == S + S // 4


def test_a_quota_s_refusal_halves_what_is_held_and_it_grows_again_one_by_one() -> None:
    pool = policy(sockets_min=8)
    pool.exhausted(S, 8, S)
    assert pool.step({SOCKET: 8}, {}, S).close == [SOCKET] * 4
    assert pool.cap(S) == 4
    assert pool.cap(62 * S) == 6
    assert pool.cap(2000 * S) == 32


def test_refusals_of_attempts_that_were_under_way_shrink_it_once() -> None:
    pool = policy()
    pool.exhausted(S, 16, 2 * S)
    pool.exhausted(S + 1, 8, 2 * S + 1)
    assert pool.cap(2 * S) == 8


def test_a_quota_that_has_room_for_nobody_empties_the_pool() -> None:
    pool = policy()
    pool.exhausted(S, 1, S)
    assert sum(pool.targets(S).values()) == 0


def test_a_setup_that_is_refused_for_good_is_left_alone_whoever_asks_for_it() -> None:
    pool = policy()
    pool.asked(AGENT, 0)
    pool.refused(AGENT, 0)
    now_ns = ask(pool, AGENT, 1.0, 60)
    assert AGENT not in pool.targets(now_ns)
    now_ns = ask(pool, AGENT, 1.0, 60, start_s=600)
    assert AGENT in pool.targets(now_ns)


def test_sessions_and_sockets_age_by_limits_of_their_own() -> None:
    pool = policy()
    assert pool.too_old(SOCKET, 30 * S)
    assert not pool.too_old(AGENT, 30 * S)
    assert pool.too_old(AGENT, 120 * S)


def test_setups_seen_once_do_not_pile_up() -> None:
    pool = policy()
    for number in range(5000):
        pool.asked(b"%d" % number, number)
    assert len(pool._setups) <= 256


@given(
    st.lists(
        st.tuples(st.sampled_from(["asked", "missed", "failed", "exhausted", "refused"]), st.integers(0, 5))
    ),
    st.dictionaries(st.sampled_from([SOCKET, b"0", b"1", b"2"]), st.integers(1, 12)),
    st.dictionaries(st.sampled_from([SOCKET, b"0", b"1", b"2"]), st.integers(1, 3)),
)
def test_a_step_never_goes_over_the_cap_nor_closes_what_is_not_there(
    story: list[tuple[str, int]], warm: dict[bytes, int], opening: dict[bytes, int]
) -> None:
    pool = policy(total=10, opening=5)
    now_ns = S
    for what, number in story:
        now_ns += S // 3
        setup = b"%d" % number
        if what == "asked":
            pool.asked(setup, now_ns)
        elif what == "missed":
            pool.missed(now_ns)
        elif what == "failed":
            pool.failed(now_ns, now_ns)
        elif what == "exhausted":
            pool.exhausted(now_ns, 2 * number, now_ns)
        else:
            pool.refused(setup, now_ns)
    step = pool.step(warm, opening, now_ns)
    held = sum(warm.values()) + sum(opening.values()) - len(step.close)
    if step.open:
        assert held + len(step.open) <= pool.cap(now_ns)
        assert sum(opening.values()) + len(step.open) <= 5
    assert all(count <= warm.get(key, 0) for key, count in Counter(step.close).items())
