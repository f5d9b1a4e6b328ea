"""One call, several attempts to dial it: real Twilio API, Valkey and Postgres."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from redis.asyncio import Redis
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from control_plane import bootstrap
from control_plane.adapters import redis_client
from control_plane.adapters.sessions import RedisSessions
from control_plane.adapters.twilio_rest import TwilioRest
from control_plane.errors import DependencyUnavailable, DialLater, PolicyRefused
from control_plane.service.dialing_ports import Superseded
from control_plane.settings import Settings
from tests.support.control import free_port
from tests.support.eventually import eventually
from tests.support.records import session
from tests.support.stack import Servers
from tests.support.twilio_api import ACCOUNT_SID, AUTH_TOKEN, NUMBER, Failure, TwilioApi, running_twilio_api
from workflows.contracts import Dial, Dialed
from workflows.dialing import Dialer

SETTLE_S = 0.4


@dataclass
class World:
    """Everything a dial touches. `attempt` makes one, of a worker of its own."""

    twilio: TwilioApi
    settings: Settings
    redis: Redis
    dialing: bootstrap.Dialing
    sessions: RedisSessions
    number: str
    workflow_id: str
    closing: list[Callable[[], Awaitable[None]]]

    def attempt(
        self, number: int, *, workflow_id: str = "", max_duration_s: int = 60
    ) -> asyncio.Task[Dialed]:
        rest = TwilioRest(self.settings, request_timeout_s=0.5)
        self.closing.append(rest.close)
        gate = self.dialing
        dialer = Dialer(
            rest,
            self.sessions,
            gate.admission,
            gate.pacer,
            gate.intents,
            gate.owners,
            reconcile_s=0.5,
            settle_s=SETTLE_S,
        )
        request = Dial(
            workflow_id=workflow_id or self.workflow_id,
            phone_number=self.number,
            max_duration_seconds=max_duration_s,
            started_at=datetime.now(UTC).isoformat(),
            principal="key:test",
        )
        environment: Any = ActivityEnvironment()
        return asyncio.ensure_future(environment.run(dialer.dial, request, number))

    @property
    def requests(self) -> int:
        """How often Twilio was asked for a call."""
        return self.twilio.requests.count("POST Calls")


def world_settings(servers: Servers, twilio: TwilioApi, **changes: object) -> Settings:
    values: dict[str, object] = {
        "database_url": servers.database_url,
        "redis_url": servers.redis_url,
        "twilio_account_sid": ACCOUNT_SID,
        "twilio_auth_token": AUTH_TOKEN,
        "twilio_phone_number": NUMBER,
        "twilio_api_base_url": twilio.base_url,
        "twilio_cps": 100,
        "dialing_caps_number": "",
        **changes,
    }
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]


@pytest.fixture
async def world(servers: Servers) -> AsyncIterator[World]:
    async with running_twilio_api() as twilio:
        settings = world_settings(servers, twilio)
        redis = redis_client.connect(servers.redis_url)
        dialing = bootstrap.dialing(settings, redis)
        await redis.delete(f"dialing:pace:{ACCOUNT_SID}")
        await dialing.rules.resume("test")
        number = f"+1415555{uuid.uuid4().int % 10_000:04d}"
        sessions = RedisSessions(redis, 600)
        workflow_id = f"call-{uuid.uuid4()}"
        await sessions.put(session(workflow_id, status="initiated"))
        world = World(twilio, settings, redis, dialing, sessions, number, workflow_id, [dialing.close])
        yield world
        await dialing.rules.resume("test")
        for close in world.closing:
            await close()
        await redis.aclose()


async def holds(world: World, for_ms: int) -> None:
    await world.dialing.pacer.hold(int(time.time() * 1000), for_ms)


async def test_a_call_is_placed_once_and_known_at_once(world: World) -> None:
    dialed = await world.attempt(1)
    assert list(world.twilio.calls) == [dialed.call_sid]
    found = await world.sessions.get(world.workflow_id)
    assert found is not None
    assert found.call_sid == dialed.call_sid
    assert await world.dialing.owners.owner(dialed.call_sid) == world.workflow_id


async def test_an_answer_that_never_came_is_looked_up_by_the_attempt_itself(world: World) -> None:
    world.twilio.failures = [Failure(place=True, status=-1)]
    dialed = await world.attempt(1)
    assert list(world.twilio.calls) == [dialed.call_sid]
    assert world.requests == 1


async def test_the_next_attempt_finds_what_a_dead_worker_placed(world: World) -> None:
    placed = await world.attempt(1)
    await world.redis.delete(f"session:{world.workflow_id}")  # not even a webhook has told
    assert await world.attempt(2) == placed
    assert world.requests == 1


async def test_the_next_attempt_waits_until_the_last_request_has_settled(world: World) -> None:
    await world.dialing.intents.enter(world.workflow_id, 1)
    sent_ms = int(time.time() * 1000)
    await world.dialing.intents.sending(world.workflow_id, 1, sent_ms)
    dialed = await world.attempt(2)
    assert time.time() * 1000 - sent_ms >= SETTLE_S * 1000
    assert list(world.twilio.calls) == [dialed.call_sid]


async def test_an_attempt_that_was_cut_off_and_comes_back_sends_nothing(world: World) -> None:
    await holds(world, 700)
    old = world.attempt(1)
    await eventually(lambda: world.redis.exists(f"dialing:pace:{ACCOUNT_SID}:turn:{world.workflow_id}"))
    new = world.attempt(2)  # Temporal believes the first one dead
    dialed = await new
    with pytest.raises(ApplicationError, match=Superseded.__name__):
        await old
    assert list(world.twilio.calls) == [dialed.call_sid]
    assert world.requests == 1


async def test_a_request_that_certainly_failed_is_repeated_without_a_wait(world: World) -> None:
    world.twilio.failures = [Failure(status=429, code=20429, retry_after="1")]
    with pytest.raises(DialLater):
        await world.attempt(1)
    # For all workers: Twilio said when it wants to be asked again.
    assert 500 < await world.dialing.pacer.backlog_ms(int(time.time() * 1000)) < 1100
    assert await world.dialing.intents.enter(world.workflow_id, 2) is None
    await world.attempt(2)
    assert world.requests == 2
    assert len(world.twilio.calls) == 1


async def test_a_queue_at_twilio_holds_everybody_back(world: World) -> None:
    world.twilio.queue_ms = 800
    await world.attempt(1)
    assert await world.dialing.pacer.backlog_ms(int(time.time() * 1000)) > 400


async def test_a_call_of_somebody_else_to_the_same_number_is_not_taken_for_ours(world: World) -> None:
    theirs = await world.attempt(1, workflow_id=f"call-{uuid.uuid4()}")
    world.twilio.failures = [Failure()]  # cut before Twilio took it
    with pytest.raises(DependencyUnavailable):
        await world.attempt(1)
    ours = await world.attempt(2)
    assert list(world.twilio.calls) == [theirs.call_sid, ours.call_sid]


async def test_cancelled_while_it_waits_for_its_turn_it_dials_nobody(world: World) -> None:
    await holds(world, 60_000)
    dialing = world.attempt(1)
    await eventually(lambda: world.redis.exists(f"dialing:pace:{ACCOUNT_SID}:turn:{world.workflow_id}"))
    dialing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dialing
    assert world.requests == 0


async def test_cancelled_while_twilio_thinks_it_says_which_call_there_is_to_end(world: World) -> None:
    world.twilio.failures = [Failure(place=True, status=-1)]
    dialing = world.attempt(1)
    await eventually(lambda: world.twilio.calls)
    dialing.cancel()
    assert (await dialing).call_sid in world.twilio.calls


async def refused(dialing: asyncio.Task[Dialed]) -> str:
    with pytest.raises(PolicyRefused) as error:
        await dialing
    return error.value.rule


async def test_the_kill_switch_stops_also_those_who_wait_for_their_turn(world: World) -> None:
    await holds(world, 1500)
    waiting = world.attempt(1)
    await eventually(lambda: world.redis.exists(f"dialing:pace:{ACCOUNT_SID}:turn:{world.workflow_id}"))
    await world.dialing.rules.stop("test", "enough")
    assert await refused(waiting) == "kill_switch"
    assert await refused(world.attempt(2)) == "kill_switch"
    assert world.requests == 0


async def test_a_number_that_was_listed_meanwhile_is_not_called(world: World) -> None:
    await world.dialing.rules.add([world.number], "test")
    assert await refused(world.attempt(1)) == "do_not_call"
    assert world.requests == 0


async def test_without_the_list_nobody_is_called_and_the_attempt_is_repeated(world: World) -> None:
    away = world.settings.model_copy(
        update={"database_url": f"postgresql://postgres@127.0.0.1:{free_port()}/voiceplane"}
    )
    blind = bootstrap.dialing(away, world.redis)
    world.closing.append(blind.close)
    world.dialing, seeing = blind, world.dialing
    with pytest.raises(DependencyUnavailable):
        await world.attempt(1)
    assert world.requests == 0
    world.dialing = seeing
    await world.attempt(2)
    assert world.requests == 1


async def test_calls_of_all_workers_keep_the_accounts_pace(servers: Servers, world: World) -> None:
    world.settings = world_settings(servers, world.twilio, twilio_cps=20)
    world.dialing = bootstrap.dialing(world.settings, world.redis)
    world.closing.append(world.dialing.close)
    placed: list[float] = []
    world.twilio.on_placed = lambda _: placed.append(time.monotonic())
    await asyncio.gather(*(world.attempt(1, workflow_id=f"call-{uuid.uuid4()}") for _ in range(20)))
    assert len(placed) == 20
    assert placed[-1] - placed[0] > 19 * 0.05 - 0.04
