"""What a call asks of its model: checked before anybody's phone rings, and carried to the workflow."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status
from temporalio.client import Client
from temporalio.worker import Worker

from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings
from protos.voiceplane.calls.v1 import calls_pb2 as pb
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceStub
from tests.support.control import NEW_CALL, Control
from workflows.contracts import CallParams

AGENT = {
    "model": "gemini-3.8-live-extended-thinking",
    "voice": "Kore",
    "temperature": 0.7,
    "thinking_level": "LOW",
    "turns": {"end_sensitivity": "END_SENSITIVITY_LOW", "silence_duration_ms": 500, "prefix_padding_ms": 0},
}
CARRIED = {name: value for name, value in AGENT.items() if name not in ("model", "voice")}


async def started(temporal: Client, workflow_id: str) -> CallParams:
    handle = temporal.get_workflow_handle(workflow_id)
    params = await handle.query("params", result_type=CallParams)
    await handle.signal("terminate", {"reason": ""})
    return params


async def test_what_a_call_asks_of_its_model_reaches_the_workflow(
    control: Control, temporal: Client, worker: Worker
) -> None:
    response = await control.http.post("/calls", json=NEW_CALL | {"agent": AGENT})

    assert response.status_code == 201
    assert set(response.json()) == {"workflow_id", "run_id", "phone_number", "status"}
    params = await started(temporal, response.json()["workflow_id"])
    assert (params.model, params.voice) == (AGENT["model"], "Kore")
    assert params.agent == CARRIED


async def test_a_call_that_asks_for_nothing_carries_nothing(
    control: Control, temporal: Client, worker: Worker
) -> None:
    response = await control.http.post("/calls", json=NEW_CALL)
    params = await started(temporal, response.json()["workflow_id"])
    assert (params.model, params.voice, params.agent) == ("", "", {})


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"thinking_budget": 0}, ["agent", "thinking_budget"]),
        ({"model": "gemini-3.5-live-translate-preview"}, ["agent", "model"]),
        ({"turns": {"silence_duration_ms": 0}}, ["agent", "turns", "silence_duration_ms"]),
        ({"turns": {"speech_threshold": 0.5}}, ["agent", "turns", "speech_threshold"]),
        ({"turns": {"mode": "MANUAL", "speech_pad_ms": 2001}}, ["agent", "turns", "speech_pad_ms"]),
        ({"turns": {"hold_timeout_ms": 500}}, ["agent", "turns", "hold_timeout_ms"]),
        ({"turns": {"mode": "automatic"}}, ["agent", "turns", "mode"]),
        ({"turns": {"silence": 1}}, ["agent", "turns", "silence"]),
        ({"temperature": "hot"}, ["agent", "temperature"]),
        ({"max_output_tokens": 2**40}, ["agent", "max_output_tokens"]),
        ({"tone": "warm"}, ["agent", "tone"]),
    ],
)
async def test_a_setup_that_the_model_would_refuse_is_answered_with_422_and_its_place(
    control: Control, changes: dict[str, Any], place: list[str]
) -> None:
    response = await control.http.post("/calls", json=NEW_CALL | {"agent": changes})

    assert response.status_code == 422
    assert [problem["loc"] for problem in response.json()["detail"]] == [["body", *place]]


async def test_a_function_that_the_model_can_t_wait_for_is_refused(control: Control) -> None:
    tool = {
        "type": "http",
        "name": "look_up",
        "description": "Looks something up.",
        "url": "https://tools.example.com/look_up",
        "blocking": True,
    }
    agent = {"model": "gemini-3.8-live-extended-thinking"}
    response = await control.http.post("/calls", json=NEW_CALL | {"agent": agent, "tools": [tool]})

    assert response.status_code == 422
    assert [problem["loc"] for problem in response.json()["detail"]] == [["body", "tools", 0, "blocking"]]


async def test_grpc_carries_the_same_and_names_the_same_fields(
    control: Control, temporal: Client, worker: Worker
) -> None:
    asked = AgentSettings(model="gemini-3.8-live", voice="Kore", temperature=0.7)
    call = pb.CreateCallRequest(phone_number="+15551234567", system_prompt="You sell tea.", agent=asked)
    async with grpc.aio.insecure_channel(control.endpoints.grpc) as channel:
        stub: Any = CallServiceStub(channel)
        created = await stub.CreateCall(call)
        call.agent.turns.silence_duration_ms = 10_001
        call.agent.thinking_level = 77  # a number that has no name
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await stub.CreateCall(call)
        call.agent.ClearField("thinking_level")
        with pytest.raises(grpc.aio.AioRpcError) as second:
            await stub.CreateCall(call)

    params = await started(temporal, created.workflow_id)
    assert (params.model, params.voice, params.agent) == ("gemini-3.8-live", "Kore", {"temperature": 0.7})
    assert refusal.value.code() is second.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violated(refusal.value) == ["agent.thinking_level"]
    assert violated(second.value) == ["agent.turns.silence_duration_ms"]


def violated(error: grpc.aio.AioRpcError) -> list[str]:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    detail = BadRequest()
    status.details[0].Unpack(detail)
    return [violation.field for violation in detail.field_violations]
