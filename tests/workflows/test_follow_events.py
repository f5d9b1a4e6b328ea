"""follow_events alone, in an activity environment, against real servers that go away and come back."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from control_plane import bootstrap
from control_plane.settings import Settings
from tests.support.eventually import eventually
from tests.support.media_node import MediaNodeServer
from tests.support.relay import Relay
from tests.support.stack import Servers
from workflows.activities_events import EventActivities
from workflows.contracts import Followed, FollowEvents


@dataclasses.dataclass
class Bench:
    """A follower between a Redis and a Postgres that can be cut off."""

    ports: bootstrap.Worker
    direct: bootstrap.Worker  # around the proxies
    postgres: Relay
    redis: Relay
    node: MediaNodeServer
    client: Client
    workflow_id: str

    def environment(self, heartbeat_details: tuple[object, ...] = ()) -> ActivityEnvironment:
        environment = ActivityEnvironment(client=self.client)
        environment.info = dataclasses.replace(
            environment.info,
            workflow_id=self.workflow_id,
            workflow_run_id=str(uuid.uuid4()),
            heartbeat_details=heartbeat_details,
        )
        self.heartbeats: list[tuple[object, ...]] = []
        environment.on_heartbeat = lambda *details: self.heartbeats.append(details)
        return environment

    def follow(
        self, environment: ActivityEnvironment, *, drain: bool = False, every_s: float = 0.05
    ) -> asyncio.Task[Followed]:
        events = EventActivities(self.ports, write_every_s=every_s)
        request = FollowEvents(self.workflow_id, drain=drain)
        return asyncio.create_task(environment.run(events.follow_events, request))

    async def speak(self, *numbers: int) -> None:
        for number in numbers:
            await self.node.speak(self.workflow_id, number, f"line {number}")

    async def lines(self) -> list[str]:
        return [segment.text for segment in await self.direct.calls.transcript(self.workflow_id)]


def _proxied(url: str, proxy: Relay) -> str:
    parts = urlsplit(url)
    user = f"{parts.username}@" if parts.username else ""
    return parts._replace(netloc=f"{user}127.0.0.1:{proxy.port}").geturl()


@pytest.fixture
async def bench(servers: Servers, redis: Redis) -> AsyncIterator[Bench]:
    settings = Settings(_env_file=None, database_url=servers.database_url, redis_url=servers.redis_url)
    async with (
        Relay(servers.database_url) as postgres,
        Relay(servers.redis_url) as redis_proxy,
    ):
        ports = bootstrap.worker(
            settings.model_copy(
                update={
                    "database_url": _proxied(servers.database_url, postgres),
                    "redis_url": _proxied(servers.redis_url, redis_proxy),
                }
            )
        )
        direct = bootstrap.worker(settings)
        node = MediaNodeServer(redis, "node-1")
        client = await Client.connect(servers.temporal_host)
        workflow_id = f"call-{uuid.uuid4()}"
        yield Bench(ports, direct, postgres, redis_proxy, node, client, workflow_id)
        await ports.close()
        await direct.close()


async def test_lines_are_written_while_the_call_goes_on_and_heartbeats_follow(bench: Bench) -> None:
    following = bench.follow(bench.environment())
    await bench.speak(1, 2)
    await eventually(lambda: _has(bench, 2))
    await eventually(lambda: bool(bench.heartbeats) and bench.heartbeats[-1][0] != "0-0")
    await bench.speak(3)
    await bench.node.end_stream(bench.workflow_id)
    followed = await following
    assert followed.segments == 3
    assert await bench.lines() == ["line 1", "line 2", "line 3"]


async def _has(bench: Bench, count: int) -> bool:
    return await bench.direct.calls.transcript_count(bench.workflow_id) == count


async def test_a_follower_goes_on_after_the_last_entry_written(bench: Bench) -> None:
    await bench.speak(1, 2)
    first = bench.follow(bench.environment())
    await eventually(lambda: _has(bench, 2))
    await eventually(lambda: bool(bench.heartbeats) and bench.heartbeats[-1][0] != "0-0")
    position = bench.heartbeats[-1]
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await bench.speak(3)
    await bench.node.end_stream(bench.workflow_id)
    followed = await bench.follow(bench.environment(position))
    assert followed.segments == 3
    assert await bench.lines() == ["line 1", "line 2", "line 3"]


async def test_reading_everything_again_doubles_no_line(bench: Bench) -> None:
    await bench.speak(1, 2, 3)
    await bench.node.end_stream(bench.workflow_id)
    for _ in range(2):
        assert (await bench.follow(bench.environment())).segments == 3
    assert await bench.lines() == ["line 1", "line 2", "line 3"]


async def test_postgres_going_away_delays_lines_and_loses_none(bench: Bench) -> None:
    following = bench.follow(bench.environment())
    await bench.speak(1)
    await eventually(lambda: _has(bench, 1))
    bench.postgres.refuse()
    await bench.speak(2, 3)
    await bench.node.end_stream(bench.workflow_id)
    await eventually(lambda: len(bench.heartbeats) > 1)
    assert not following.done()
    bench.postgres.accept()
    assert (await following).segments == 3
    assert await bench.lines() == ["line 1", "line 2", "line 3"]


async def test_redis_going_away_delays_lines_and_loses_none(bench: Bench) -> None:
    following = bench.follow(bench.environment())
    await bench.speak(1)
    await eventually(lambda: _has(bench, 1))
    bench.redis.refuse()
    beats = len(bench.heartbeats)
    await bench.speak(2, 3)
    await bench.node.end_stream(bench.workflow_id)
    await eventually(lambda: len(bench.heartbeats) > beats + 1)
    assert not following.done()
    bench.redis.accept()
    assert (await following).segments == 3
    assert await bench.lines() == ["line 1", "line 2", "line 3"]


async def test_draining_stops_at_the_last_entry_though_the_stream_never_ended(bench: Bench) -> None:
    await bench.speak(1, 2)
    followed = await bench.follow(bench.environment(), drain=True)
    assert followed.segments == 2


async def test_draining_an_empty_stream_is_over_at_once(bench: Bench) -> None:
    assert (await bench.follow(bench.environment(), drain=True)).segments == 0


async def test_a_worker_that_shuts_down_writes_what_it_has_and_hands_over(bench: Bench) -> None:
    environment = bench.environment()
    following = bench.follow(environment, every_s=3600)
    await bench.speak(1)
    await eventually(lambda: _has(bench, 1))  # the first write is due at once
    await bench.speak(2)
    environment.worker_shutdown()
    with pytest.raises(ApplicationError) as handed_over:
        await following
    assert handed_over.value.type == "WorkerShutdown"
    assert not handed_over.value.non_retryable
    position = bench.heartbeats[-1]
    assert await bench.lines() == ["line 1", "line 2"]
    await bench.node.end_stream(bench.workflow_id)
    assert (await bench.follow(bench.environment(position))).segments == 2
