"""Turns at asking Twilio, on a real Valkey; the clock is the test's."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from control_plane.adapters import redis_client
from control_plane.adapters.dial_intents import RedisIntents, RedisOwners
from control_plane.adapters.pacing import GRACE_MS, RedisPacer
from control_plane.service.dialing_ports import Superseded
from tests.support.stack import Servers

START = 1_767_614_400_000
LONG = 3_600_000


@pytest.fixture
async def pacer(servers: Servers) -> AsyncIterator[RedisPacer]:
    redis = redis_client.connect(servers.redis_url)
    yield RedisPacer(redis, f"AC{uuid.uuid4().hex}", 10)
    await redis.aclose()


async def go(pacer: RedisPacer, name: str, now: int, late: int = 0) -> int:
    """When this call goes, waking `late` ms after each wait."""
    while True:
        wait = await pacer.turn(name, now, LONG)
        assert wait is not None
        if wait == 0:
            return now
        now += wait + late


async def test_calls_go_one_interval_apart_in_order_of_asking(pacer: RedisPacer) -> None:
    waits = [await pacer.turn(f"call-{n}", START, LONG) for n in range(5)]
    assert waits == [0, 100, 200, 300, 400]
    assert await pacer.backlog_ms(START) == 500
    assert [await go(pacer, f"call-{n}", START) for n in (1, 2, 3, 4)] == [
        START + n * 100 for n in (1, 2, 3, 4)
    ]


async def test_two_hundred_at_once_all_get_a_moment_of_their_own(pacer: RedisPacer) -> None:
    waits = await asyncio.gather(*(pacer.turn(f"call-{n}", START, LONG) for n in range(200)))
    assert sorted(wait for wait in waits if wait is not None) == [n * 100 for n in range(200)]


async def test_asking_again_changes_nothing(pacer: RedisPacer) -> None:
    await pacer.turn("first", START, LONG)
    assert await pacer.turn("second", START, LONG) == 100
    assert await pacer.turn("second", START + 60, LONG) == 40
    assert await pacer.turn("third", START + 60, LONG) == 140


async def test_whoever_wakes_late_the_rate_is_never_exceeded(pacer: RedisPacer) -> None:
    chance = random.Random(7)
    due = {f"call-{n}": START for n in range(60)}
    went: list[int] = []
    while due:
        name = min(due, key=lambda each: due[each])
        now = due[name]
        wait = await pacer.turn(name, now, LONG)
        assert wait is not None
        if wait == 0:
            went.append(now)
            del due[name]
        else:
            due[name] = now + wait + chance.choice([0, 0, 3, 30, 250])
    gaps = [later - earlier for earlier, later in pairwise(went)]
    assert min(gaps) >= 100
    assert went[-1] - START < 61 * 100 + 1000  # and no time is lost for good


async def test_a_hold_moves_everybody_and_keeps_the_order(pacer: RedisPacer) -> None:
    for n in range(4):
        await pacer.turn(f"call-{n}", START, LONG)  # the first has gone
    await pacer.hold(START + 50, 2000)
    assert await pacer.turn("call-1", START + 100, LONG) == 2000
    assert await pacer.turn("call-3", START + 100, LONG) == 2200
    assert await pacer.turn("late", START + 100, LONG) == 2300
    await pacer.hold(START + 100, 500)  # a shorter one changes nothing
    assert [await go(pacer, f"call-{n}", START + 100) - START for n in (1, 2, 3)] == [2100, 2200, 2300]


async def test_a_hold_stops_also_whoever_nobody_waits_for(pacer: RedisPacer) -> None:
    await pacer.hold(START, 3000)
    assert await pacer.backlog_ms(START) == 3000
    assert await pacer.turn("call-1", START + 1000, LONG) == 2000


async def test_turns_missed_while_nobody_worked_are_not_all_used_at_once(pacer: RedisPacer) -> None:
    for n in range(50):
        await pacer.turn(f"call-{n}", START, LONG)
    back = START + 60_000
    assert sorted([await pacer.turn(f"call-{n}", back, LONG) or 0 for n in range(1, 50)]) == [
        n * 100 for n in range(49)
    ]
    assert back - START > GRACE_MS


async def test_a_line_that_is_too_long_is_not_joined(pacer: RedisPacer) -> None:
    for n in range(11):
        await pacer.turn(f"call-{n}", START, LONG)
    assert await pacer.turn("one more", START, 1000) is None
    assert await pacer.backlog_ms(START) == 1100
    assert await pacer.turn("one more", START + 100, 1000) == 1000


async def test_only_the_newest_attempt_may_send_and_it_knows_what_was_sent(servers: Servers) -> None:
    redis = redis_client.connect(servers.redis_url)
    intents = RedisIntents(redis)
    call = f"call-{uuid.uuid4()}"
    assert await intents.enter(call, 1) is None
    await intents.sending(call, 1, START)
    assert await intents.enter(call, 2) == START
    with pytest.raises(Superseded):
        await intents.sending(call, 1, START + 1)
    with pytest.raises(Superseded):
        await intents.enter(call, 1)
    await intents.not_placed(call, 2)
    assert await intents.enter(call, 3) is None
    await redis.aclose()


async def test_a_call_at_twilio_belongs_to_whom_it_was_first_said_to(servers: Servers) -> None:
    redis = redis_client.connect(servers.redis_url)
    owners = RedisOwners(redis)
    sid = f"CA{uuid.uuid4().hex}"
    assert await owners.owner(sid) is None
    await owners.placed("call-1", sid)
    await owners.placed("call-2", sid)
    assert await owners.owner(sid) == "call-1"
    await redis.aclose()
