"""The dialing policy within a call's life: asked right before dialing, its place given back at the end."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from redis.asyncio import Redis

from control_plane import bootstrap
from control_plane.adapters.dialing_slots import RedisSlots
from control_plane.domain.dialing.caps import Scope
from control_plane.service.dialing import Ask
from control_plane.service.dialing_ports import Claimant
from control_plane.settings import Settings
from tests.support.stack import Servers
from tests.support.twilio_api import ACCOUNT_SID, NUMBER
from tests.workflows.conftest import World, call_params
from workflows.contracts import CallParams, EndReason
from workflows.worker import build


@pytest.fixture
async def dialing(servers: Servers, redis: Redis) -> AsyncIterator[bootstrap.Dialing]:
    """The policy as an API process has it."""
    settings = Settings(
        _env_file=None,
        database_url=servers.database_url,
        redis_url=servers.redis_url,
        twilio_account_sid=ACCOUNT_SID,
        twilio_phone_number=NUMBER,
    )
    dialing = bootstrap.dialing(settings, redis)
    yield dialing
    await dialing.rules.resume("test")
    await dialing.close()


def of_a_key() -> CallParams:
    return replace(call_params(), principal=f"key:{uuid.uuid4().hex}")


async def in_use(redis: Redis, params: CallParams) -> tuple[int, int]:
    """Calls and seconds that count against the key's caps."""
    who = Claimant(params.workflow_id, ACCOUNT_SID, params.principal, params.phone_number)
    usage = (await RedisSlots(redis).usage(who, datetime.now(UTC)))[Scope.KEY]
    return usage.concurrent, usage.seconds_today


async def test_a_call_holds_its_place_while_it_lives_and_pays_for_what_it_used(
    world: World, redis: Redis, dialing: bootstrap.Dialing
) -> None:
    params = of_a_key()
    await dialing.admission.admit(
        Ask(params.workflow_id, params.principal, params.phone_number, params.max_duration_seconds)
    )
    assert await in_use(redis, params) == (1, 60)
    handle = await world.start(params)
    call = await world.dialed(params)
    await world.callback(handle, call, "in-progress", 0)
    assert await in_use(redis, params) == (1, 60)
    await world.callback(handle, call, "completed", 1, duration_seconds=2)
    result = await handle.result()
    assert await in_use(redis, params) == (0, round(result.duration_seconds))


async def test_a_call_that_nobody_admitted_is_counted_when_it_is_dialed(world: World, redis: Redis) -> None:
    params = of_a_key()
    handle = await world.start(params)
    call = await world.dialed(params)
    assert await in_use(redis, params) == (1, 60)
    await world.callback(handle, call, "busy", 0)
    await handle.result()
    assert await in_use(redis, params) == (0, 0)


async def test_a_number_listed_after_the_request_is_not_called_and_the_result_says_why(
    quiet_world: World, redis: Redis, dialing: bootstrap.Dialing
) -> None:
    params = of_a_key()
    await dialing.admission.admit(Ask(params.workflow_id, params.principal, params.phone_number, 60))
    handle = await quiet_world.start(params)
    await dialing.rules.add([params.phone_number], "test")
    async with build(quiet_world.client, quiet_world.ports):
        result = await handle.result()
    assert result.end_reason == EndReason.DIAL_FAILED
    assert result.error == f"{params.phone_number} is on the do-not-call list"
    assert quiet_world.twilio.placed(params.phone_number) == []
    assert await in_use(redis, params) == (0, 0)
