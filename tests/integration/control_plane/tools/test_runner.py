"""From the model's call in Redis to the answer at its node: once, whoever dies meanwhile."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from redis.asyncio import Redis

from bench.sim.tools import server as tool_server
from bench.sim.tools.server import Fault, ToolServer
from control_plane.errors import ToolsUnusable
from control_plane.tools.definitions import DEFINITIONS
from control_plane.tools.store import ToolStore
from protos.voiceplane.events.v1.events_pb2 import ToolCalled, ToolCancelled
from tests.support.eventually import eventually
from tests.support.mcp_server import running_shop
from tests.support.media_node import MediaNodeServer, running_media_node
from tests.support.stack import Servers
from tests.support.tool_worker import running_tool_worker

LEASE_S = 0.6


@pytest.fixture(scope="module")
def redis_url(servers: Servers) -> str:
    return urlunsplit(urlsplit(servers.redis_url)._replace(path="/7"))


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        await redis.flushdb()
        yield redis


@pytest.fixture
async def node(redis: Redis) -> AsyncIterator[MediaNodeServer]:
    async with running_media_node(redis, "node-1") as node:
        yield node


@pytest.fixture
async def tools() -> AsyncIterator[ToolServer]:
    async with tool_server.running() as server:
        yield server


async def new_call(redis: Redis, *definitions: dict[str, Any]) -> str:
    """A call with these tools."""
    workflow_id = f"call-{uuid.uuid4()}"
    await ToolStore(redis).put(workflow_id, DEFINITIONS.validate_python(list(definitions)), 60)
    return workflow_id


def http_tool(server: ToolServer, name: str = "f", **changes: Any) -> dict[str, Any]:
    return {"type": "http", "name": name, "description": name, "url": f"{server.url}/{name}", **changes}


def called(
    workflow_id: str, call_id: str = "fc-1", name: str = "f", timeout_ms: int = 10_000, **arguments: Any
) -> ToolCalled:
    return ToolCalled(
        tool_call_id=call_id,
        name=name,
        arguments_json=json.dumps(arguments),
        idempotency_key=f"{workflow_id}:first",
        timeout_ms=timeout_ms,
    )


async def answer_of(node: MediaNodeServer, workflow_id: str, call_id: str = "fc-1") -> Any:
    def found() -> str | None:
        for each in node.answers:
            if (each.workflow_id, each.tool_call_id) == (workflow_id, call_id):
                return each.response_json
        return None

    return json.loads(await eventually(found))


async def nothing_waits(redis: Redis) -> None:
    async def empty() -> bool:
        return await redis.xlen("tools") == 0

    await eventually(empty)


async def test_a_call_is_executed_and_answered_at_its_node(
    redis_url: str, redis: Redis, node: MediaNodeServer, tools: ToolServer
) -> None:
    tools.answers["f"] = {"output": 42}
    async with running_tool_worker(redis_url, LEASE_S, "one"):
        call = await new_call(redis, http_tool(tools))
        await node.event(call, tool_called=called(call, day="friday"))
        assert await answer_of(node, call) == {"output": 42}
        await nothing_waits(redis)
    assert json.loads(tools.requests[0].body) == {"day": "friday"}
    assert tools.requests[0].headers["Idempotency-Key"] == f"{call}:first"


async def test_an_mcp_function_is_found_by_its_listing(
    redis_url: str, redis: Redis, node: MediaNodeServer
) -> None:
    async with running_shop() as shop, running_tool_worker(redis_url, LEASE_S, "one") as runner:
        call = await new_call(redis, {"type": "mcp", "name": "shop", "url": shop.url})
        declarations = await runner._tools.declarations(call)  # type: ignore[attr-defined]
        assert [each.name for each in declarations] == ["find_order", "cancel_order"]
        await node.event(call, tool_called=called(call, name="find_order", number=7))
        assert "on its way" in str(await answer_of(node, call))


async def test_an_mcp_server_that_is_not_there_makes_the_tools_unusable(
    redis_url: str, redis: Redis, tools: ToolServer
) -> None:
    async with running_tool_worker(redis_url, LEASE_S, "one") as runner:
        shop = {"type": "mcp", "name": "shop", "url": f"{tools.url}/mcp"}
        tools.faults["mcp"] = Fault(status=503)
        call = await new_call(redis, http_tool(tools), shop)
        with pytest.raises(ToolsUnusable, match="MCP server shop"):
            await runner._tools.declarations(call)  # type: ignore[attr-defined]
        with pytest.raises(ToolsUnusable, match="not in Redis"):
            await runner._tools.declarations("call-unknown")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(status=500), "the tool answered HTTP 500"),
        (Fault(redirect="http://169.254.169.254/"), "refused: the tool answered with a redirect (307)"),
        (Fault(delay_ms=60_000), "no answer within"),
    ],
)
async def test_every_failure_is_an_answer(
    redis_url: str, redis: Redis, node: MediaNodeServer, tools: ToolServer, fault: Fault, error: str
) -> None:
    tools.faults["f"] = fault
    async with running_tool_worker(redis_url, LEASE_S, "one"):
        call = await new_call(redis, http_tool(tools))
        await node.event(call, tool_called=called(call, timeout_ms=800))
        assert (await answer_of(node, call))["error"].startswith(error)


async def test_a_call_whose_tools_are_gone_is_answered(
    redis_url: str, redis: Redis, node: MediaNodeServer
) -> None:
    async with running_tool_worker(redis_url, LEASE_S, "one"):
        await node.event("call-x", tool_called=called("call-x"))
        assert "not known any more" in (await answer_of(node, "call-x"))["error"]


async def test_an_event_written_twice_is_executed_once(
    redis_url: str, redis: Redis, node: MediaNodeServer, tools: ToolServer
) -> None:
    tools.faults["f"] = Fault(delay_ms=300)
    async with running_tool_worker(redis_url, LEASE_S, "one"), running_tool_worker(redis_url, LEASE_S, "two"):
        call = await new_call(redis, http_tool(tools))
        for _ in range(4):
            await node.event(call, tool_called=called(call))
        await answer_of(node, call)
        await nothing_waits(redis)
    assert len(tools.requests) == 1
    assert len(node.answers) == 1


async def test_a_call_longer_than_the_lease_is_not_taken_over(
    redis_url: str, redis: Redis, node: MediaNodeServer, tools: ToolServer
) -> None:
    tools.faults["f"] = Fault(delay_ms=1500)
    async with running_tool_worker(redis_url, LEASE_S, "one"), running_tool_worker(redis_url, LEASE_S, "two"):
        call = await new_call(redis, http_tool(tools))
        await node.event(call, tool_called=called(call))
        await answer_of(node, call)
        await nothing_waits(redis)
    assert len(tools.requests) == 1


async def test_a_worker_that_is_killed_leaves_its_call_to_another(
    redis_url: str, redis: Redis, node: MediaNodeServer, tools: ToolServer
) -> None:
    tools.faults["f"] = Fault(delay_ms=60_000)
    victim = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.tool_worker", redis_url, str(LEASE_S)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert victim.stdout is not None
    assert await victim.stdout.readline() == b"ready\n"
    call = await new_call(redis, http_tool(tools))
    await node.event(call, tool_called=called(call))
    await tools.arrived.wait()
    victim.kill()
    await victim.wait()
    tools.faults.clear()
    tools.answers["f"] = {"output": "from the survivor"}
    async with running_tool_worker(redis_url, LEASE_S, "survivor"):
        assert await answer_of(node, call) == {"output": "from the survivor"}
        await nothing_waits(redis)
    keys = {asked.headers["Idempotency-Key"] for asked in tools.requests}
    assert (len(tools.requests), keys) == (2, {f"{call}:first"})


async def test_a_worker_that_stops_hands_over_at_once(
    redis_url: str, redis: Redis, node: MediaNodeServer, tools: ToolServer
) -> None:
    tools.faults["f"] = Fault(delay_ms=60_000)
    call = await new_call(redis, http_tool(tools))
    async with running_tool_worker(redis_url, LEASE_S, "one") as runner:
        await node.event(call, tool_called=called(call))
        await tools.arrived.wait()
        await runner.stop(0)
        assert await redis.get(f"tool:{call}:fc-1") is None
    tools.faults.clear()
    async with running_tool_worker(redis_url, LEASE_S, "two"):
        await answer_of(node, call)


async def test_an_answer_written_down_is_delivered_without_a_second_execution(
    redis_url: str, redis: Redis, node: MediaNodeServer, tools: ToolServer
) -> None:
    call = await new_call(redis, http_tool(tools))
    await redis.set(f"tool:{call}:fc-1", 'ans:{"output": "kept"}')
    async with running_tool_worker(redis_url, LEASE_S, "one"):
        await node.event(call, tool_called=called(call))
        assert await answer_of(node, call) == {"output": "kept"}
    assert tools.requests == []


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "at another worker"])
async def test_a_call_taken_back_is_cut_off(
    redis_url: str, redis: Redis, node: MediaNodeServer, tools: ToolServer, elsewhere: bool
) -> None:
    tools.faults["f"] = Fault(delay_ms=60_000)
    async with running_tool_worker(redis_url, LEASE_S, "one"):
        call = await new_call(redis, http_tool(tools))
        await node.event(call, tool_called=called(call))
        await tools.arrived.wait()
        if elsewhere:
            await ToolStore(redis).cancel(call, "fc-1")
        else:
            await node.event(call, tool_cancelled=ToolCancelled(tool_call_id="fc-1", name="f"))
        await eventually(lambda: tools.cut_off == 1)
        await nothing_waits(redis)
    assert node.answers == []


async def test_a_call_taken_back_before_it_began_is_never_executed(
    redis_url: str, redis: Redis, node: MediaNodeServer, tools: ToolServer
) -> None:
    call = await new_call(redis, http_tool(tools))
    await ToolStore(redis).cancel(call, "fc-1")
    await node.event(call, tool_called=called(call))
    async with running_tool_worker(redis_url, LEASE_S, "one"):
        await nothing_waits(redis)
    assert tools.requests == []


async def test_a_call_that_waited_too_long_is_answered_with_an_error_and_not_executed(
    redis_url: str, redis: Redis, node: MediaNodeServer, tools: ToolServer
) -> None:
    call = await new_call(redis, http_tool(tools))
    await node.event(call, tool_called=called(call, timeout_ms=0))
    async with running_tool_worker(redis_url, LEASE_S, "one"):
        assert "not reached in time" in (await answer_of(node, call))["error"]
    assert tools.requests == []


async def test_a_node_that_is_away_for_a_moment_gets_its_answer(
    redis_url: str, redis: Redis, node: MediaNodeServer, tools: ToolServer
) -> None:
    node.away = 2
    async with running_tool_worker(redis_url, LEASE_S, "one"):
        call = await new_call(redis, http_tool(tools))
        await node.event(call, tool_called=called(call))
        await answer_of(node, call)


async def test_an_answer_for_a_call_that_is_over_is_let_go(
    redis_url: str, redis: Redis, node: MediaNodeServer, tools: ToolServer
) -> None:
    async with running_tool_worker(redis_url, LEASE_S, "one"):
        call = await new_call(redis, http_tool(tools))
        await node.end_stream(call)
        await node.event(call, tool_called=called(call))
        await nothing_waits(redis)
    assert len(tools.requests) == 1, "what was ordered is finished"


async def test_what_is_no_event_is_passed_over(
    redis_url: str, redis: Redis, node: MediaNodeServer, tools: ToolServer
) -> None:
    await redis.xadd("tools", {"e": b"\xff\xff"})
    await redis.xadd("tools", {"x": b""})
    async with running_tool_worker(redis_url, LEASE_S, "one"):
        call = await new_call(redis, http_tool(tools))
        await node.event(call, tool_called=called(call))
        await answer_of(node, call)
        await nothing_waits(redis)
