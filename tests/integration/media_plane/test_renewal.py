"""A call over several sessions of the model, on real sockets: no word of either side is lost or repeated."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from bench.gemini.endless import Found, converse, live, scenario
from bench.sim.gemini.faults import Fault
from bench.sim.gemini.server import Simulator
from media_plane.call.continuity import Cause, Outcome
from media_plane.rpc import handles
from protos.voiceplane.media.v1 import media_pb2 as pb
from tests.support.eventually import eventually
from tests.support.media_peers import NOWHERE, Plane, media_plane
from tests.support.stack import Servers

NEVER = 1e6


@asynccontextmanager
async def planes(
    go_away_s: float = NEVER, lead_s: float = 6.0, redis_url: str = NOWHERE, **settings: object
) -> AsyncIterator[tuple[Simulator, Plane]]:
    simulator = Simulator(scenario(go_away_s, lead_s), mode="scripted", seed=3)
    await simulator.start("127.0.0.1", 0)
    url = f"http://127.0.0.1:{simulator.port}"
    try:
        async with media_plane(redis_url, gemini_base_url=url, gemini_uplink_rate=8000, **settings) as plane:
            yield simulator, plane
    finally:
        await simulator.stop()


async def talk(
    simulator: Simulator, plane: Plane, seconds: float, *, cut_every_s: float = NEVER, kill_s: float = NEVER
) -> Found:
    return await converse(simulator, plane.stub, seconds, cut_every_s, kill_s, random.Random(3))


def nothing_was_lost(found: Found) -> None:
    assert found.ended == ""
    assert found.unanswered == 0
    assert found.once == found.samples
    assert (found.lost, found.repeated) == (0, 0)


def outcomes(plane: Plane) -> dict[tuple[Cause, Outcome], int]:
    assert plane.server.node.renewals is not None
    return dict(plane.server.node.renewals.counts.renewals)


async def test_go_away_every_few_seconds_is_heard_by_nobody() -> None:
    async with planes(go_away_s=4, gemini_pool_max=4, gemini_pool_socket_age_s=1.5) as (simulator, plane):
        found = await talk(simulator, plane, 6)
        nothing_was_lost(found)
        assert outcomes(plane)[Cause.GO_AWAY, Outcome.RESUMED] >= 1
        assert max(gap for question in found.questions for gap in [0.0, *question.gaps_ms]) < 200


async def test_cuts_and_a_refused_handle_lose_nothing_of_what_was_asked() -> None:
    async with planes() as (simulator, plane):

        async def strike() -> None:
            await asyncio.sleep(2.0)
            first = live(simulator)
            assert first is not None
            simulator.arm(Fault(fault="close_during_resume"))
            simulator.arm(Fault(fault="internal_error", session=first.session.id))
            await asyncio.sleep(4.0)
            second = live(simulator)
            assert second is not None
            simulator.arm(Fault(fault="abort", session=second.session.id))

        striking = asyncio.create_task(strike())
        found = await talk(simulator, plane, 9)
        await striking
        assert found.ended == ""
        assert found.unanswered == 0
        assert found.once == found.samples
        assert outcomes(plane) == {(Cause.CUT, Outcome.FRESH): 1, (Cause.CUT, Outcome.RESUMED): 1}


async def test_a_model_that_can_t_be_had_any_more_ends_the_call_after_a_while_without_a_storm() -> None:
    async with planes(gemini_renew_within_s=2.0) as (simulator, plane):

        async def strike() -> None:
            await asyncio.sleep(1.0)
            connection = live(simulator)
            assert connection is not None
            simulator.arm(Fault(fault="refuse_upgrade", session="all", status=503))
            simulator.arm(Fault(fault="internal_error", session=connection.session.id))

        striking = asyncio.create_task(strike())
        found = await talk(simulator, plane, 30)
        await striking
        assert found.ended == "the node closed the stream"
        assert outcomes(plane) == {(Cause.CUT, Outcome.FAILED): 1}
        assert plane.server.node.renewals is not None
        assert plane.server.node.renewals.counts.tries <= 6


async def test_handles_are_in_redis_while_the_call_lives(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handles, "GATHER_S", 0.05)
    async with (
        planes(redis_url=servers.redis_url) as (_, plane),
        Redis.from_url(servers.redis_url) as redis,
    ):
        workflow_id = f"call-{uuid.uuid4()}"
        await plane.prepare(workflow_id)
        assert await eventually(lambda: handles.read(redis, workflow_id))
        assert (await handles.read(redis, workflow_id)).startswith("Cih")
        assert 0 < await redis.ttl(handles.key(workflow_id)) <= 7200
        await plane.stub.EndCall(pb.EndCallRequest(workflow_id=workflow_id))
        assert await eventually(lambda: _gone(redis, workflow_id))


async def _gone(redis: Redis, workflow_id: str) -> bool:
    return not await handles.read(redis, workflow_id)
