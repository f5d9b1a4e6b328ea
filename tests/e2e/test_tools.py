"""An agent with functions, through every real part: REST, worker, media plane, model's wire, tool server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bench.demo.api import Client
from bench.demo.persona import AUDIO
from bench.sim.tools import server as tool_server
from bench.sim.tools.server import ToolServer
from control_plane.devstack.stack import Stack

PROMPT = "You book tables."
SPEECH = str(AUDIO / "austen-0880.wav")
LISTENS = [
    {"wait": "agent_starts", "timeout_ms": 10_000},
    {"wait": "agent_stops", "for_ms": 300, "timeout_ms": 20_000},
]
# A filler while the function runs, then its answer: two utterances with a pause of 1.4 s at most.
LISTENS_LONG = [
    {"wait": "agent_starts", "timeout_ms": 10_000},
    {"wait": "agent_stops", "for_ms": 2500, "timeout_ms": 20_000},
]

Json = dict[str, Any]


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[Client]:
    client = Client.connect(stack.endpoints)
    yield client
    await client.close()


@pytest.fixture
async def tools() -> AsyncIterator[ToolServer]:
    async with tool_server.running() as server:
        yield server


def book_table(server: ToolServer, **changes: Any) -> Json:
    return {
        "type": "http",
        "name": "book_table",
        "description": "Books a table.",
        "parameters": {
            "type": "object",
            "properties": {"day": {"type": "string"}, "people": {"type": "integer"}},
            "required": ["day"],
        },
        "url": f"{server.url}/book_table",
        "headers": {"Authorization": "Bearer secret"},
        **changes,
    }


async def create(client: Client, number: str, script: list[Json], tools: list[Json]) -> str:
    await client.put_persona(number, {"answer_after_ms": 100, "script": script})
    body = {
        "phone_number": number,
        "greeting": "Hello!",
        "system_prompt": PROMPT,
        "max_duration_seconds": 120,
        "tools": tools,
    }
    answer = await client.http.post(f"{client.endpoints['rest']}/calls", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["workflow_id"])


async def test_the_agent_speaks_what_a_function_answered_and_ends_the_call_after_its_goodbye(
    client: Client, tools: ToolServer
) -> None:
    tools.answers["book_table"] = {"output": "Your table is booked for Friday"}
    script = [*LISTENS, {"play": SPEECH}, *LISTENS_LONG, {"play": SPEECH}, {"pause_ms": 60_000}]
    workflow_id = await create(client, "+15555550180", script, [book_table(tools), {"type": "end_call"}])
    events = [event async for event in client.watch(workflow_id)]

    [asked] = tools.of("book_table")
    assert json.loads(asked.body) == {"day": "friday", "people": 4}
    assert asked.headers["Authorization"] == "Bearer secret"
    assert asked.headers["X-Voiceplane-Call"] == workflow_id
    called = next(event.tool_called for event in events if event.HasField("tool_called"))
    assert (
        asked.headers["Idempotency-Key"] == called.idempotency_key == f"{workflow_id}:{called.tool_call_id}"
    )
    answered = [event.tool_answered for event in events if event.HasField("tool_answered")]
    assert [(each.name, each.error) for each in answered] == [("book_table", ""), ("end_call", "")]

    result = await client.result(workflow_id)
    assert (result["status"], result["end_reason"]) == ("completed", "agent_hangup")
    said = [line["text"] for line in result["transcript"] if line["speaker"] == "agent"]
    assert "Your table is booked for Friday" in said
    assert said[-1] == "Thank you for calling. Goodbye!", "a second goodbye was said"
    assert not result["transcript"][-1]["interrupted"]
    await the_goodbye_was_heard(client, events)


async def the_goodbye_was_heard(client: Client, events: list[Any]) -> None:
    """The callee heard the agent fall silent before the line was cut."""
    call_sid = next(e.stream_started.call_sid for e in events if e.HasField("stream_started"))
    heard = [
        e for e in await client.timeline(call_sid) if e["kind"] in ("heard_stop", "heard_start", "ended")
    ]
    assert [e["kind"] for e in heard][-2:] == ["heard_stop", "ended"]
    asked = next(e for e in events if e.HasField("tool_answered") and e.tool_answered.name == "end_call")
    ended = next(e for e in events if e.HasField("stream_ended"))
    # 330 ms a word: the tone that stands for five words.
    assert ended.offset_ms - (asked.offset_ms - asked.tool_answered.waited_ms) > 5 * 330


async def test_the_agent_is_told_when_a_function_fails(client: Client, tools: ToolServer) -> None:
    tools.faults["book_table"] = tool_server.Fault(status=503, content_type="text/plain", body="try later")
    script = [*LISTENS, {"play": SPEECH}, *LISTENS_LONG, {"hangup": True}]
    workflow_id = await create(client, "+15555550181", script, [book_table(tools)])
    events = [event async for event in client.watch(workflow_id)]
    [answered] = [event.tool_answered for event in events if event.HasField("tool_answered")]
    assert answered.error == "the tool answered HTTP 503: try later"
    result = await client.result(workflow_id)
    assert result["end_reason"] == "caller_hangup"


async def test_a_call_with_a_tool_in_a_private_network_is_not_made(client: Client, tools: ToolServer) -> None:
    body = {
        "phone_number": "+15555550182",
        "system_prompt": PROMPT,
        "tools": [{"type": "end_call"}, book_table(tools, url="https://169.254.169.254/latest")],
    }
    answer = await client.http.post(f"{client.endpoints['rest']}/calls", json=body)
    assert answer.status_code == 422
    [problem] = answer.json()["detail"]
    assert problem["loc"] == ["body", "tools", 1, "url"]
    assert "metadata" in problem["msg"]
