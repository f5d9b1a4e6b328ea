from __future__ import annotations

import asyncio
import json

import pytest
from redis.asyncio import Redis

from control_plane.adapters.sessions import RedisSessions, key
from control_plane.service.ports import Session
from control_plane.settings import Settings
from tests.support.control import new_workflow_id
from tests.support.records import session


async def get(sessions: RedisSessions, workflow_id: str) -> Session:
    found = await sessions.get(workflow_id)
    assert found is not None
    return found


async def test_a_session_reads_as_it_was_put(sessions: RedisSessions, redis: Redis) -> None:
    put = session(new_workflow_id())
    put.greeting = 'Ça va? "quotes" \\ / 🙂 \u2028'

    await sessions.put(put)

    assert await sessions.get(put.workflow_id) == put
    assert 7190 < await redis.ttl(key(put.workflow_id)) <= 7200


async def test_a_session_that_is_not_there_is_none(sessions: RedisSessions) -> None:
    assert await sessions.get(new_workflow_id()) is None


async def test_an_update_changes_its_fields_alone_and_renews_the_lifetime(
    sessions: RedisSessions, redis: Redis
) -> None:
    put = session(new_workflow_id())
    put.greeting = 'Ça va? "quotes" \\ / 🙂 \u2028'
    await sessions.put(put)
    await redis.expire(key(put.workflow_id), 100)

    await sessions.update(put.workflow_id, stream_url="wss://a/b?c=1&d", call_sid="CA1")

    put.stream_url, put.call_sid = "wss://a/b?c=1&d", "CA1"
    assert await sessions.get(put.workflow_id) == put
    assert await redis.ttl(key(put.workflow_id)) > 7190


async def test_an_update_of_no_session_makes_none(sessions: RedisSessions) -> None:
    workflow_id = new_workflow_id()

    await sessions.update(workflow_id, status="ringing")

    assert await sessions.get(workflow_id) is None


@pytest.mark.parametrize(
    ("now", "told", "then"),
    [
        ("initiated", "ringing", "ringing"),
        ("ringing", "initiated", "ringing"),
        ("in_progress", "ringing", "in_progress"),
        ("in_progress", "completed", "completed"),
        ("completed", "in_progress", "completed"),
        ("completed", "failed", "completed"),
    ],
)
async def test_a_status_only_moves_forward(sessions: RedisSessions, now: str, told: str, then: str) -> None:
    put = session(new_workflow_id(), status=now)
    await sessions.put(put)

    await sessions.update(put.workflow_id, status=told, stream_sid="MZ1")

    after = await get(sessions, put.workflow_id)
    assert (after.status, after.stream_sid) == (then, "MZ1")


async def test_concurrent_updates_lose_nothing(settings: Settings, sessions: RedisSessions) -> None:
    put = session(new_workflow_id())
    await sessions.put(put)
    async with Redis.from_url(settings.redis_dsn) as second_connection:
        other = RedisSessions(second_connection, 7200)
        await asyncio.gather(
            *(sessions.update(put.workflow_id, call_sid="CA1", run_id=f"run-{n}") for n in range(30)),
            *(other.update(put.workflow_id, stream_sid="MZ1", stream_url=f"wss://{n}") for n in range(30)),
        )

    after = await get(sessions, put.workflow_id)
    assert (after.call_sid, after.stream_sid) == ("CA1", "MZ1")
    assert after.run_id
    assert after.stream_url


async def test_an_update_of_a_field_that_sessions_do_not_have_is_a_mistake(sessions: RedisSessions) -> None:
    with pytest.raises(TypeError, match="colour"):
        await sessions.update(new_workflow_id(), colour="red")


async def test_fields_of_a_newer_version_are_passed_over_and_kept(
    sessions: RedisSessions, redis: Redis
) -> None:
    put = session(new_workflow_id())
    await sessions.put(put)
    stored = json.loads(await redis.get(key(put.workflow_id))) | {"language": "fr"}
    await redis.set(key(put.workflow_id), json.dumps(stored))

    await sessions.update(put.workflow_id, call_sid="CA1")

    assert (await get(sessions, put.workflow_id)).call_sid == "CA1"
    assert json.loads(await redis.get(key(put.workflow_id)))["language"] == "fr"


async def test_a_deleted_session_is_gone(sessions: RedisSessions) -> None:
    put = session(new_workflow_id())
    await sessions.put(put)

    await sessions.delete(put.workflow_id)
    await sessions.delete(put.workflow_id)

    assert await sessions.get(put.workflow_id) is None


async def test_connections_the_server_has_dropped_are_replaced(sessions: RedisSessions, redis: Redis) -> None:
    await sessions.ping()
    await redis.client_kill_filter(_type="normal", skipme=True)

    await sessions.ping()


async def test_many_requests_at_once_take_turns(sessions: RedisSessions) -> None:
    put = session(new_workflow_id())
    await sessions.put(put)

    found = await asyncio.gather(*(sessions.get(put.workflow_id) for _ in range(1000)))

    assert found == [put] * 1000
