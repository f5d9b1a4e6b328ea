"""The registry of media nodes in a real Valkey, and gRPC to real nodes."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator

import grpc
import pytest
from redis.asyncio import Redis

from control_plane.adapters import redis_client
from control_plane.adapters.media_nodes import RegisteredMediaNodes
from control_plane.errors import ControlPlaneError, DependencyUnavailable, ModelRefused, NodeFull
from control_plane.service.ports import MediaNode
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings, TurnSettings
from tests.support.media_node import MediaNodeServer, running_media_node
from tests.support.stack import Servers
from workflows.activities import by_load
from workflows.contracts import PrepareMedia


@pytest.fixture
async def redis(servers: Servers) -> AsyncIterator[Redis]:
    redis = redis_client.connect(servers.redis_url)
    yield redis
    await redis.aclose()


@pytest.fixture
async def nodes(redis: Redis) -> AsyncIterator[RegisteredMediaNodes]:
    nodes = RegisteredMediaNodes(redis)
    yield nodes
    await nodes.close()


@pytest.fixture
async def server(redis: Redis) -> AsyncIterator[MediaNodeServer]:
    async with running_media_node(redis, f"node-{uuid.uuid4().hex}") as server:
        yield server


def request() -> PrepareMedia:
    return PrepareMedia(
        workflow_id=f"call-{uuid.uuid4()}",
        stream_token="t" * 32,
        system_prompt="You are brief.",
        greeting="Hello!",
        voice="Puck",
        expires_in_s=240,
    )


async def node_of(nodes: RegisteredMediaNodes, server: MediaNodeServer) -> MediaNode:
    return next(node for node in await nodes.live() if node.id == server.node_id)


async def test_a_registered_node_is_live_with_what_it_says_of_itself(
    nodes: RegisteredMediaNodes, server: MediaNodeServer
) -> None:
    await server.register(calls=3, capacity=7, draining=True)
    node = await node_of(nodes, server)
    assert (node.grpc_address, node.calls, node.capacity, node.draining) == (server.address, 3, 7, True)


async def test_a_node_without_a_heartbeat_is_forgotten_and_comes_back_with_one(
    nodes: RegisteredMediaNodes, server: MediaNodeServer, redis: Redis
) -> None:
    await redis.delete(f"node:{server.node_id}")
    assert server.node_id not in [node.id for node in await nodes.live()]
    assert not await redis.sismember("nodes", server.node_id)
    await server.register()
    assert server.node_id in [node.id for node in await nodes.live()]


@pytest.mark.parametrize("text", ["{", "[]", '{"id": "x"}', json.dumps({"id": "x", "calls": "many"})])
async def test_an_unreadable_registration_hides_no_other_node(
    nodes: RegisteredMediaNodes, server: MediaNodeServer, redis: Redis, text: str
) -> None:
    broken = f"node-{uuid.uuid4().hex}"
    await redis.sadd("nodes", broken)
    await redis.set(f"node:{broken}", text, ex=60)
    live = [node.id for node in await nodes.live()]
    await redis.srem("nodes", broken)
    assert server.node_id in live
    assert broken not in live


async def test_preparing_hands_over_the_agent_and_answers_where_the_stream_must_go(
    nodes: RegisteredMediaNodes, server: MediaNodeServer
) -> None:
    asked = request()
    prepared = await nodes.prepare(await node_of(nodes, server), asked)
    assert prepared.node_id == server.node_id
    assert prepared.grpc_address == server.address
    assert prepared.stream_url.endswith(f"/twilio/ws/media/{asked.workflow_id}/{asked.stream_token}")
    given = server.prepared[asked.workflow_id]
    assert (given.agent.system_prompt, given.agent.greeting, given.agent.voice) == (
        "You are brief.",
        "Hello!",
        "Puck",
    )
    assert given.expires_in_s == 240
    assert given.agent.settings == AgentSettings()


async def test_what_a_call_asks_of_its_model_reaches_the_node(
    nodes: RegisteredMediaNodes, server: MediaNodeServer
) -> None:
    asked = request()
    asked.agent = {"temperature": 0.5, "turns": {"mode": "AUTO", "silence_duration_ms": 500}}
    await nodes.prepare(await node_of(nodes, server), asked)
    assert server.prepared[asked.workflow_id].agent.settings == AgentSettings(
        temperature=0.5, turns=TurnSettings(mode=TurnSettings.AUTO, silence_duration_ms=500)
    )


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.RESOURCE_EXHAUSTED, NodeFull),
        (grpc.StatusCode.UNAVAILABLE, DependencyUnavailable),
        (grpc.StatusCode.FAILED_PRECONDITION, ModelRefused),
        (grpc.StatusCode.INVALID_ARGUMENT, ControlPlaneError),
        (grpc.StatusCode.INTERNAL, DependencyUnavailable),
    ],
)
async def test_a_nodes_refusal_says_what_can_be_done(
    nodes: RegisteredMediaNodes,
    server: MediaNodeServer,
    code: grpc.StatusCode,
    error: type[ControlPlaneError],
) -> None:
    server.refusals = [(code, "for a reason")]
    with pytest.raises(error) as raised:
        await nodes.prepare(await node_of(nodes, server), request())
    assert type(raised.value) is error


async def test_a_node_that_is_gone_is_unavailable_and_used_again_when_it_is_back(
    nodes: RegisteredMediaNodes, redis: Redis
) -> None:
    async with running_media_node(redis, "node-that-goes") as server:
        node = await node_of(nodes, server)
        await nodes.prepare(node, request())
    with pytest.raises(DependencyUnavailable):
        await nodes.prepare(node, request())
    with pytest.raises(DependencyUnavailable):
        await nodes.end(node.grpc_address, "call-1", "terminated")
    port = int(node.grpc_address.rpartition(":")[2])
    async with running_media_node(redis, "node-that-goes", port=port):
        async with asyncio.timeout(10):
            while True:
                try:
                    await nodes.prepare(node, request())
                except DependencyUnavailable:
                    await asyncio.sleep(0.05)
                else:
                    break


async def test_ending_says_whether_the_node_held_the_call(
    nodes: RegisteredMediaNodes, server: MediaNodeServer
) -> None:
    asked = request()
    await nodes.prepare(await node_of(nodes, server), asked)
    assert await nodes.end(server.address, asked.workflow_id, "terminated") is True
    assert server.ended[asked.workflow_id] == "terminated"
    assert await nodes.end(server.address, asked.workflow_id, "terminated") is False


def test_the_least_loaded_node_with_room_is_tried_first() -> None:
    def node(name: str, calls: int, capacity: int, draining: bool = False) -> MediaNode:
        return MediaNode(name, "", "", capacity, calls, draining)

    nodes = [
        node("half", 5, 10),
        node("full", 10, 10),
        node("draining", 0, 10, draining=True),
        node("large and light", 100, 1000),
        node("closed", 0, 0),
    ]
    assert [each.id for each in by_load(nodes)] == ["large and light", "half"]
