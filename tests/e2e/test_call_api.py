"""A live call steered through the typed client, with every real part between it and the simulators."""

from __future__ import annotations

from typing import Any

import httpx

from bench.demo.api import Client as Demo
from control_plane.client import AsyncClient, CallStatus, Ended, Event, Item, NewCall, StatusReached
from control_plane.devstack.stack import Stack

NUMBER = "+15555550171"
PERSONA = {"answer_after_ms": 100, "script": [{"pause_ms": 60_000}]}


async def told(stack: Stack, words: str) -> list[dict[str, Any]]:
    """What the simulated model was sent that holds these words."""
    async with httpx.AsyncClient(base_url=stack.endpoints["gemini_admin"], trust_env=False) as http:
        sessions = (await http.get("/sessions")).json()
        logs = [(await http.get(f"/sessions/{each['id']}/log")).json() for each in sessions]
    return [line for log in logs for line in log if line["dir"] == "<" and words in str(line)]


async def test_a_live_call_is_watched_spoken_into_and_ended_through_the_client(stack: Stack) -> None:
    demo = Demo.connect(stack.endpoints)
    await demo.put_persona(NUMBER, PERSONA)
    items: list[Item] = []
    async with AsyncClient(stack.endpoints["grpc"]) as client:
        call = await client.create(NewCall(NUMBER, "You are kind.", greeting="Hello!"))
        async for item in client.watch(call.workflow_id):
            items.append(item)
            if isinstance(item, Event) and item.kind == "stream_started":
                await client.say(call.workflow_id, "The parcel is on its way.")
                await client.instruct(call.workflow_id, "The caller is called Anna.")
            if len(items) > 3 and await told(stack, "Anna"):
                await client.terminate(call.workflow_id)
        result = await client.result(call.workflow_id)
        page = await client.list(phone_number=NUMBER, page_size=1)
    await demo.close()

    reached = [item.status for item in items if isinstance(item, StatusReached)]
    assert reached[0] is CallStatus.INITIATED
    assert reached[-1] is CallStatus.IN_PROGRESS
    ended = items[-1]
    assert isinstance(ended, Ended)
    assert (ended.status, ended.end_reason) == (CallStatus.COMPLETED, "terminated")
    assert ended.duration_seconds == result.duration_seconds
    assert page.calls[0].workflow_id == call.workflow_id
    [spoken] = await told(stack, "The parcel is on its way.")
    [known] = await told(stack, "Anna")
    assert spoken["body"]["turnComplete"] is True
    assert known["body"]["turnComplete"] is False
