"""Functions through a whole node: declared, called, answered; and what a model that forgets does to them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from media_plane.dsp.g711 import compress
from protos.voiceplane.media.v1 import media_pb2 as pb
from tests.support.eventually import eventually
from tests.support.gemini_sim import STEADY, running, steady
from tests.support.media_peers import Caller, Model, Plane, media_plane, tone

BOOK = pb.Tool(
    name="book_table",
    description="Books a table.",
    parameters_json='{"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}',
    blocking=True,
    timeout_ms=20_000,
)
LOOKUP = pb.Tool(name="lookup", description="Looks up.", scheduling="WHEN_IDLE", timeout_ms=100)
END = pb.Tool(name="end_call", description="Ends.", built_in=pb.BUILT_IN_END_CALL)


def agent(*tools: pb.Tool) -> pb.AgentConfig:
    return pb.AgentConfig(system_prompt="You book tables.", tools=tools or (BOOK, LOOKUP, END))


def calls(*calls: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    functions = [{"id": each, "name": name, "args": args} for each, name, args in calls]
    return {"toolCall": {"functionCalls": functions}}


async def answer(plane: Plane, workflow_id: str, call_id: str, response: Any) -> str:
    request = pb.AnswerToolRequest(
        workflow_id=workflow_id, tool_call_id=call_id, response_json=json.dumps(response)
    )
    answered = await plane.stub.AnswerTool(request)
    return pb.AnswerOutcome.Name(answered.outcome).removeprefix("ANSWER_OUTCOME_")


def responses(model: Model) -> list[dict[str, Any]]:
    return [
        function
        for message in model.messages
        if "toolResponse" in message
        for function in message["toolResponse"]["functionResponses"]
    ]


def desk(plane: Plane, workflow_id: str) -> Any:
    found = plane.server.node.find(workflow_id)
    assert found is not None
    return found[0].desk


async def test_functions_are_declared_in_the_setup() -> None:
    async with media_plane() as plane:
        _, model, _ = await plane.call(agent=agent())
        [tool] = model.messages[0]["setup"]["tools"]
        book, lookup, end = tool["functionDeclarations"]
        assert (book["name"], book["behavior"]) == ("book_table", "BLOCKING")
        assert book["parameters"]["type"] == "OBJECT"
        assert book["parameters"]["properties"] == {"day": {"type": "STRING"}}
        assert (lookup["behavior"], "parameters" in lookup) == ("NON_BLOCKING", False)
        assert end["name"] == "end_call"


async def test_an_answer_reaches_the_model_once() -> None:
    async with media_plane() as plane:
        _, model, call = await plane.call(agent=agent())
        model.say(calls(("fc-1", "book_table", {"day": "friday"})))
        await eventually(lambda: desk(plane, call).pending)
        assert await answer(plane, call, "fc-1", {"output": "booked"}) == "TAKEN"
        await model.until(lambda: responses(model))
        assert responses(model) == [{"id": "fc-1", "name": "book_table", "response": {"output": "booked"}}]
        assert await answer(plane, call, "fc-1", {"output": "again"}) == "LATE"
        assert await answer(plane, call, "never", {}) == "LATE"
        assert len(responses(model)) == 1


async def test_a_function_nobody_answers_is_answered_by_the_node() -> None:
    async with media_plane() as plane:
        _, model, _ = await plane.call(agent=agent())
        model.say(calls(("fc-1", "lookup", {})))
        await model.until(lambda: responses(model))
        [response] = responses(model)
        assert response["scheduling"] == "WHEN_IDLE"
        assert "in time" in response["response"]["error"]


async def test_a_call_taken_back_is_not_answered() -> None:
    async with media_plane() as plane:
        _, model, call = await plane.call(agent=agent())
        model.say(calls(("fc-1", "book_table", {})))
        model.say({"toolCallCancellation": {"ids": ["fc-1"]}})
        await eventually(lambda: desk(plane, call).counts.cancelled)
        assert await answer(plane, call, "fc-1", {"output": "booked"}) == "LATE"
        assert responses(model) == []


@pytest.mark.parametrize(
    ("workflow_id", "response_json", "code"),
    [
        ("call-elsewhere", "{}", grpc.StatusCode.NOT_FOUND),
        ("", "[1]", grpc.StatusCode.INVALID_ARGUMENT),
        ("", "{", grpc.StatusCode.INVALID_ARGUMENT),
        ("", '{"x": "' + "y" * 70_000 + '"}', grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_an_answer_that_is_none_is_refused(
    workflow_id: str, response_json: str, code: grpc.StatusCode
) -> None:
    async with media_plane() as plane:
        _, _, call = await plane.call(agent=agent())
        request = pb.AnswerToolRequest(
            workflow_id=workflow_id or call, tool_call_id="fc-1", response_json=response_json
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await plane.stub.AnswerTool(request)
        assert caught.value.code() is code


@pytest.mark.parametrize(
    ("tools", "field"),
    [
        ([pb.Tool(name="1")], "agent.tools[0].name"),
        ([BOOK, BOOK], "agent.tools"),
        ([pb.Tool(name="f", parameters_json="[]")], "agent.tools[0].parameters_json"),
        ([pb.Tool(name="f", parameters_json='{"type": "nothing"}')], "agent.tools"),
        ([pb.Tool(name="f", scheduling="SOON")], "agent.tools[0].scheduling"),
        ([pb.Tool(name="f", timeout_ms=200_000)], "agent.tools[0].timeout_ms"),
        ([pb.Tool(name=f"f{n}") for n in range(65)], "agent.tools"),
    ],
)
async def test_a_tool_that_is_not_as_it_must_be_is_refused(tools: list[pb.Tool], field: str) -> None:
    async with media_plane() as plane:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await plane.prepare(agent=agent(*tools))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (caught.value.details() or "").startswith(field)


async def test_a_toolcall_that_is_no_toolcall_hurts_nobody() -> None:
    async with media_plane() as plane:
        _, model, call = await plane.call(agent=agent())
        model.say({"toolCall": {"functionCalls": [{"id": 1, "name": "f"}]}})
        model.say({"toolCall": {"functionCalls": [{"id": "x", "name": "f", "args": []}]}})
        model.say({"toolCallCancellation": {"ids": "x"}})
        await eventually(lambda: plane.server.node.tally().peer_errors == 3)
        assert desk(plane, call).pending == 0


# -- with the simulator: blocking calls that the caller talks over ------------------------------------------


@asynccontextmanager
async def speaking(caller: Caller, ms: int, amplitude: float) -> AsyncIterator[None]:
    """The caller's line, in real time, beside what happens in the block."""

    async def line() -> None:
        ulaw = compress(tone(300, ms, 8000, amplitude)).tobytes()
        clock = asyncio.get_running_loop()
        began = clock.time()
        for number, at in enumerate(range(0, len(ulaw), 160), 1):
            caller.media(ulaw[at : at + 160])
            await asyncio.sleep(max(0.0, began + number * 0.02 - clock.time()))

    speech = asyncio.create_task(line())
    try:
        yield
    finally:
        speech.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await speech


@pytest.mark.parametrize("when", ["before it comes again", "after it comes again"])
async def test_a_call_dropped_in_silence_is_executed_once_and_its_answer_spoken(when: str) -> None:
    delays = {**STEADY["delays"], "setup": 10, "think_speech": 100, "think_tool": 100, "reissue": 1500}
    tool = {"function": "book_table", "args": {"day": "friday"}, "then": "{output}"}
    script = [{"heard": "a table", "reply": "", "hearing": 50, "voice": {"ms": 400}, "tool": tool}]
    async with (
        running(steady(delays=delays, script=script)) as sim,
        media_plane(gemini_base_url=f"http{sim.url[2:]}") as plane,
    ):
        call = f"call-{uuid.uuid4()}"
        prepared = await plane.prepare(call, agent=agent())
        caller = await plane.dial(prepared.stream_url)
        caller.start()
        async with speaking(caller, 20_000, 8000):
            await eventually(lambda: "speech_started" in notes(sim))
        async with speaking(caller, 20_000, 0):
            await eventually(lambda: desk(plane, call).pending)
        [key] = list(desk(plane, call)._tools._open)
        async with speaking(caller, 20_000, 8000):
            await eventually(lambda: "tool_call_dropped" in notes(sim))
        async with speaking(caller, 20_000, 0):
            if when == "before it comes again":
                assert await answer(plane, call, key, {"output": "booked"}) == "TAKEN"
            await eventually(lambda: desk(plane, call).counts.repeated == 1)
            if when == "after it comes again":
                assert await answer(plane, call, key, {"output": "booked"}) == "TAKEN"
            await caller.until(lambda: caller.heard)
        counts = desk(plane, call).counts
        assert (counts.called, counts.repeated, counts.late) == (1, 1, 0)


def notes(sim: Any) -> list[str]:
    """What the simulator says of its sessions."""
    found = sim.simulator.connections.values()
    return [line["kind"] for connection in found for line in connection.log.lines()]
