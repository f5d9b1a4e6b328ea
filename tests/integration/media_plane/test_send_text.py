"""Texts that come from outside of the call: for the model to say, or to know."""

from __future__ import annotations

import grpc
import pytest

from protos.voiceplane.media.v1 import media_pb2 as pb
from tests.support.media_peers import Model, Plane, media_plane, tone


def contents(model: Model) -> list[dict[str, object]]:
    return [message["clientContent"] for message in model.messages if "clientContent" in message]


async def send(plane: Plane, workflow_id: str, text: str, *, instruct: bool = False) -> None:
    request = pb.SendTextRequest(workflow_id=workflow_id, text=text, instruct=instruct)
    await plane.stub.SendText(request, timeout=5)


async def refusal(plane: Plane, workflow_id: str, text: str, *, instruct: bool = False) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await send(plane, workflow_id, text, instruct=instruct)
    return caught.value.code()


async def test_the_model_is_told_to_say_a_text_at_once() -> None:
    async with media_plane() as plane:
        _, model, workflow_id = await plane.call()
        before = len(contents(model))

        await send(plane, workflow_id, 'Say "hello" to Ànna.')

        await model.until(lambda: len(contents(model)) > before)
        told = contents(model)[-1]
        assert told["turnComplete"] is True
        assert 'Say "hello" to Ànna.' in told["turns"][0]["parts"][0]["text"]  # type: ignore[index]


async def test_an_instruction_waits_until_the_agent_is_silent_and_asks_for_no_answer() -> None:
    async with media_plane() as plane:
        caller, model, workflow_id = await plane.call()
        before = len(contents(model))
        model.speak(tone(440, 200, 24_000))
        await caller.until(lambda: len(caller.heard) >= 1600)

        await send(plane, workflow_id, "The order has shipped.", instruct=True)
        await send(plane, workflow_id, "Say this now.")
        await model.until(lambda: len(contents(model)) == before + 1)
        model.content(generationComplete=True, turnComplete=True)

        await model.until(lambda: len(contents(model)) == before + 2)
        spoken, known = contents(model)[before:]
        assert spoken["turnComplete"] is True
        assert known["turnComplete"] is False
        assert "The order has shipped." in known["turns"][0]["parts"][0]["text"]  # type: ignore[index]


async def test_a_model_that_takes_no_client_content_is_spoken_to_in_realtime_and_not_instructed() -> None:
    agent = pb.AgentConfig(system_prompt="x", model="gemini-3.1-flash-live-preview")
    async with media_plane() as plane:
        _, model, workflow_id = await plane.call(agent=agent)

        await send(plane, workflow_id, "One moment.")

        await model.until(
            lambda: any(
                "One moment." in str(each.get("realtimeInput", {}).get("text")) for each in model.messages
            )
        )
        assert await refusal(plane, workflow_id, "x", instruct=True) is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_text_that_nobody_can_be_given_is_refused() -> None:
    async with media_plane() as plane:
        await plane.prepare("call-1")  # nobody has picked up

        assert await refusal(plane, "call-1", "x") is grpc.StatusCode.FAILED_PRECONDITION
        assert await refusal(plane, "call-2", "x") is grpc.StatusCode.NOT_FOUND
        assert await refusal(plane, "call-1", " ") is grpc.StatusCode.INVALID_ARGUMENT
        assert await refusal(plane, "call-1", "é" * 2049) is grpc.StatusCode.INVALID_ARGUMENT
