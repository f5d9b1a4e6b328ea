"""Reading a call's event stream from a real Valkey."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from control_plane.adapters import redis_client
from control_plane.adapters.event_log import RedisEventLog
from control_plane.errors import DependencyUnavailable
from protos.voiceplane.events.v1.events_pb2 import CallEvent
from tests.support.relay import Relay
from tests.support.stack import Servers


@pytest.fixture
async def redis(servers: Servers) -> AsyncIterator[Redis]:
    redis = redis_client.connect(servers.redis_url, answer_s=5)
    yield redis
    await redis.aclose()


@pytest.fixture
def workflow_id() -> str:
    return f"call-{uuid.uuid4()}"


async def add(redis: Redis, workflow_id: str, seq: int) -> str:
    event = CallEvent(workflow_id=workflow_id, source="node-1", seq=seq)
    entry: bytes = await redis.xadd(f"events:{workflow_id}", {"e": event.SerializeToString()})
    return entry.decode()


async def read(log: RedisEventLog, workflow_id: str, count: int, after: str = "0-0") -> list[tuple[str, int]]:
    """The next `count` answers: (entry id, sequence number), 0 for None."""
    found: list[tuple[str, int]] = []
    async for entry_id, event in log.follow(workflow_id, after, block_ms=50):
        found.append((entry_id, event.seq if event is not None else 0))
        if len(found) == count:
            break
    return found


async def test_entries_come_in_order_and_silence_comes_as_none(redis: Redis, workflow_id: str) -> None:
    ids = [await add(redis, workflow_id, seq) for seq in (1, 2, 3)]
    found = await read(RedisEventLog(redis), workflow_id, 5)
    assert found == [(ids[0], 1), (ids[1], 2), (ids[2], 3), (ids[2], 0), (ids[2], 0)]


async def test_reading_goes_on_after_the_entry_it_is_given(redis: Redis, workflow_id: str) -> None:
    ids = [await add(redis, workflow_id, seq) for seq in (1, 2, 3)]
    assert await read(RedisEventLog(redis), workflow_id, 1, after=ids[1]) == [(ids[2], 3)]


async def test_a_stream_that_does_not_exist_yet_is_waited_for(redis: Redis, workflow_id: str) -> None:
    async def later() -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        async for entry_id, event in RedisEventLog(redis).follow(workflow_id, block_ms=2000):
            if event is not None:
                found.append((entry_id, event.seq))
                break
        return found

    reading = asyncio.create_task(later())
    entry = await add(redis, workflow_id, 1)
    assert await reading == [(entry, 1)]


async def test_an_entry_that_is_no_event_is_passed_over(redis: Redis, workflow_id: str) -> None:
    key = f"events:{workflow_id}"
    bad = (await redis.xadd(key, {"e": b"\xff\xff"})).decode()
    worse = (await redis.xadd(key, {"other": b""})).decode()
    good = await add(redis, workflow_id, 7)
    assert await read(RedisEventLog(redis), workflow_id, 3) == [(bad, 0), (worse, 0), (good, 7)]


async def test_redis_going_away_while_we_wait_is_said_and_reading_can_go_on(
    servers: Servers, redis: Redis, workflow_id: str
) -> None:
    async with Relay(servers.redis_url) as proxy:
        log = RedisEventLog(redis_client.connect(f"redis://127.0.0.1:{proxy.port}/0", answer_s=5))
        first = await add(redis, workflow_id, 1)
        seen: list[str] = []
        with pytest.raises(DependencyUnavailable):
            async for entry_id, event in log.follow(workflow_id, block_ms=3000):
                if event is not None:
                    seen.append(entry_id)
                    proxy.refuse()
        assert seen == [first]
        second = await add(redis, workflow_id, 2)
        proxy.accept()
        assert await read(log, workflow_id, 1, after=seen[-1]) == [(second, 2)]
        await log.close()
