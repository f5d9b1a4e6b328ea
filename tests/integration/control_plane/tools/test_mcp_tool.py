"""Functions of a real MCP server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bench.sim.tools import server as tool_server
from bench.sim.tools.server import Fault
from control_plane.tools.definitions import McpServer
from control_plane.tools.http_tool import ToolFailed, ToolRequest
from control_plane.tools.mcp_tool import McpTools
from control_plane.tools.pinned import PinnedTransport
from control_plane.tools.urls import ToolRefused, UrlPolicy
from tests.support.mcp_server import Shop, running_shop


@pytest.fixture(scope="module")
async def shop() -> AsyncIterator[Shop]:
    async with running_shop() as shop:
        yield shop


@pytest.fixture
async def mcp() -> AsyncIterator[McpTools]:
    transport = PinnedTransport(UrlPolicy(allowed_hosts=frozenset({"127.0.0.1"})))
    yield McpTools(transport)
    await transport.aclose()


def server(url: str, **changes: Any) -> McpServer:
    return McpServer.model_validate({"name": "shop", "url": url, **changes})


def request(name: str, timeout_s: float = 5.0, **arguments: Any) -> ToolRequest:
    return ToolRequest("call-1", "fc-1", name, arguments, "call-1:fc-1", timeout_s)


async def test_its_functions_are_declared_like_our_own(mcp: McpTools, shop: Shop) -> None:
    found = await mcp.list(server(shop.url, blocking=True, timeout_ms=2000))
    assert [each.name for each in found] == ["find_order", "cancel_order"]
    assert (found[0].description, found[0].blocking, found[0].timeout_ms) == (
        "Where an order is.",
        True,
        2000,
    )
    assert json.loads(found[0].parameters_json)["required"] == ["number"]


async def test_only_allowed_functions_are_declared(mcp: McpTools, shop: Shop) -> None:
    assert [each.name for each in await mcp.list(server(shop.url, allowed=["find_order"]))] == ["find_order"]
    with pytest.raises(ToolFailed, match="lists no refund"):
        await mcp.list(server(shop.url, allowed=["refund"]))


async def test_a_function_is_called_with_the_key_of_its_side_effect(mcp: McpTools, shop: Shop) -> None:
    headers = {"Authorization": "Bearer x"}
    answer = await mcp.call(server(shop.url, headers=headers), request("find_order", number=7))
    assert "Order 7 is on its way" in str(answer)
    assert shop.asked[-1]["number"] == 7
    assert shop.asked[-1]["meta"]["voiceplane/idempotency-key"] == "call-1:fc-1"
    assert shop.authorizations[-1] == "Bearer x"


async def test_a_function_that_fails_says_why(mcp: McpTools, shop: Shop) -> None:
    with pytest.raises(ToolFailed, match="order 7 has left"):
        await mcp.call(server(shop.url), request("cancel_order", number=7))


async def test_a_server_in_a_private_network_is_refused(mcp: McpTools) -> None:
    with pytest.raises(ToolRefused, match="private"):
        await mcp.list(server("https://10.0.0.1/mcp"))


@pytest.mark.parametrize(
    ("fault", "expected", "reason"),
    [
        (Fault(redirect="http://169.254.169.254/"), ToolRefused, "redirect"),
        (Fault(delay_ms=60_000), ToolFailed, "no answer within 0.5 s"),
        (Fault(status=500), ToolFailed, "shop: "),
        (Fault(body="not MCP"), ToolFailed, "shop: "),
    ],
)
async def test_a_server_that_misbehaves_is_told_by_name(
    mcp: McpTools, fault: Fault, expected: type[Exception], reason: str
) -> None:
    async with tool_server.running() as other:
        other.faults["mcp"] = fault
        with pytest.raises(expected, match=reason):
            await mcp.call(server(f"{other.url}/mcp"), request("find_order", 0.5, number=1))
