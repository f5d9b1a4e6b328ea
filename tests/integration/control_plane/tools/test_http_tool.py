"""HTTP tools against a real server: what is sent, and what an answer means."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bench.sim.tools import server as tool_server
from bench.sim.tools.server import Fault, ToolServer
from control_plane.tools import signing
from control_plane.tools.definitions import HttpTool
from control_plane.tools.http_tool import HttpTools, ToolRequest
from control_plane.tools.pinned import PinnedTransport
from control_plane.tools.urls import UrlPolicy

NOW = 1_800_000_000.0


@pytest.fixture
async def tools() -> AsyncIterator[ToolServer]:
    async with tool_server.running() as server:
        yield server


async def ask(server: ToolServer, arguments: dict[str, Any], **changes: Any) -> dict[str, Any]:
    definition = {"name": "f", "description": "does f", "url": f"{server.url}/f?lang=en", **changes}
    transport = PinnedTransport(UrlPolicy(allowed_hosts=frozenset({"127.0.0.1"})))
    http = HttpTools(transport, secret="s3cret", clock=lambda: NOW)
    try:
        request = ToolRequest("call-1", "fc-1", "f", arguments, "call-1:fc-0", 5.0)
        return await http.ask(HttpTool.model_validate(definition), request)
    finally:
        await http.close()


@pytest.mark.parametrize(("method", "target"), [("POST", "/f?lang=en"), ("PUT", "/f?lang=en")])
async def test_arguments_are_the_json_body(tools: ToolServer, method: str, target: str) -> None:
    await ask(tools, {"day": "Größe", "people": 4}, method=method, headers={"Authorization": "Bearer x"})
    [asked] = tools.requests
    assert (asked.method, asked.target) == (method, target)
    assert json.loads(asked.body) == {"day": "Größe", "people": 4}
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.headers["Authorization"] == "Bearer x"
    assert asked.headers["Idempotency-Key"] == "call-1:fc-0"
    assert asked.headers["X-Voiceplane-Call"] == "call-1"
    assert asked.headers["X-Voiceplane-Tool"] == "f"


async def test_arguments_of_a_get_are_its_query(tools: ToolServer) -> None:
    await ask(tools, {"q": "a&b=c#d", "n": 4, "list": [1, "x"]}, method="GET")
    [asked] = tools.requests
    assert asked.target == "/f?lang=en&q=a%26b%3Dc%23d&n=4&list=%5B1%2C+%22x%22%5D"
    assert asked.body == b""


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_a_request_is_signed(tools: ToolServer, method: str) -> None:
    await ask(tools, {"a": 1}, method=method)
    [asked] = tools.requests
    timestamp, signature = asked.headers[signing.TIMESTAMP], asked.headers[signing.SIGNATURE]
    assert signing.verify("s3cret", timestamp, signature, method, asked.target, asked.body, NOW)


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (Fault(body='{"a": 1}'), {"a": 1}),
        (Fault(body="[1, 2]"), {"output": [1, 2]}),
        (Fault(body='"yes"', content_type="application/vnd.x+json; charset=utf-8"), {"output": "yes"}),
        (Fault(body="It rains.", content_type="text/plain; charset=utf-8"), {"output": "It rains."}),
        (Fault(body="", content_type="text/html"), {"output": "done"}),
    ],
)
async def test_an_answer_is_an_object_for_the_model(
    tools: ToolServer, fault: Fault, answer: dict[str, Any]
) -> None:
    tools.faults["f"] = fault
    assert await ask(tools, {}) == answer
