"""Calls of stored agents, over both APIs: whose texts are filled in, whose name and version is kept."""

from __future__ import annotations

import json
import uuid
from typing import Any

import grpc
import pytest
from redis.asyncio import Redis
from temporalio.client import Client
from temporalio.worker import Worker

from control_plane.adapters.postgres import PostgresCalls
from control_plane.adapters.sessions import RedisSessions
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings
from protos.voiceplane.calls.v1 import calls_pb2 as pb
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceStub
from tests.support.control import NEW_CALL, Control
from tests.support.violations import violated
from workflows.contracts import CallParams, CallStatus, RecordStatus

NUMBER = "+15551234567"
PROFILE: dict[str, Any] = {
    "system_prompt": "You answer the phone of {{company}}.",
    "greeting": "Hello {{name}}!",
    "greeting_mode": "after_hello",
    "settings": {"model": "gemini-3.8-live", "voice": "Kore", "temperature": 0.7},
    "tools": [
        {
            "type": "http",
            "name": "book",
            "description": "Books a table.",
            "url": "https://tools.example.com/book",
            "headers": {"Authorization": "Bearer tool-secret"},
        },
        {"type": "end_call"},
    ],
    "max_duration_seconds": 600,
    "recording": True,
    "webhook_url": "https://hooks.example.com/calls",
}
VALUES = {"company": "Fern & Fox", "name": "{{company}}"}


@pytest.fixture
async def agent(control: Control) -> str:
    """An agent in version 2; version 1 says something else."""
    name = f"agent-{uuid.uuid4().hex[:12]}"
    first = {"name": name, "profile": PROFILE | {"greeting": "First."}}
    assert (await control.http.post("/agents", json=first)).status_code == 201
    assert (await control.http.put(f"/agents/{name}", json={"profile": PROFILE})).json()["version"] == 2
    return name


async def params_of(temporal: Client, workflow_id: str) -> CallParams:
    handle = temporal.get_workflow_handle(workflow_id)
    params = await handle.query("params", result_type=CallParams)
    await handle.signal("terminate", {"reason": ""})
    return params


async def places(control: Control, **body: Any) -> list[list[str]]:
    response = await control.http.post("/calls", json={"phone_number": NUMBER, **body})
    assert response.status_code == 422, response.text
    return sorted(problem["loc"] for problem in response.json()["detail"])


async def test_a_call_runs_the_agents_latest_version_with_its_values(
    control: Control,
    temporal: Client,
    worker: Worker,
    sessions: RedisSessions,
    repository: PostgresCalls,
    redis: Redis,
    agent: str,
) -> None:
    body = {"phone_number": NUMBER, "agent": agent, "variables": VALUES}
    response = await control.http.post("/calls", json=body)

    assert response.status_code == 201, response.text
    assert set(response.json()) == {"workflow_id", "run_id", "phone_number", "status"}
    workflow_id = response.json()["workflow_id"]
    params = await params_of(temporal, workflow_id)
    assert params.system_prompt == "You answer the phone of Fern & Fox."
    assert params.greeting == "Hello {{company}}!"  # a value is never a template
    assert (params.greeting_mode, params.max_duration_seconds) == ("after_hello", 600)
    assert (params.model, params.voice, params.agent) == ("gemini-3.8-live", "Kore", {"temperature": 0.7})
    assert (params.agent_name, params.agent_version) == (agent, 2)
    assert (params.recording, params.webhook_url) == (True, "https://hooks.example.com/calls")
    # The tools' secrets are where a call's tools are, and nowhere in its history.
    assert params.tools == 2
    assert "tool-secret" in str(await redis.get(f"tools:{workflow_id}"))
    assert "tool-secret" not in json.dumps(params.__dict__, default=str)

    session = await sessions.get(workflow_id)
    assert session is not None
    assert (session.agent_name, session.agent_version) == (agent, 2)
    await repository.record(RecordStatus(params, "run", CallStatus.RINGING))
    row = await repository.get(workflow_id)
    assert row is not None
    assert (row.agent_name, row.agent_version) == (agent, 2)
    listed = (await control.http.get("/calls", params={"page_size": 200})).json()["calls"]
    shown = next(call for call in listed if call["workflow_id"] == workflow_id)
    assert (shown["agent_name"], shown["agent_version"]) == (agent, 2)
    async with grpc.aio.insecure_channel(control.endpoints.grpc) as channel:
        page = await CallServiceStub(channel).ListCalls(pb.ListCallsRequest(page_size=200))
    told = next(call for call in page.calls if call.workflow_id == workflow_id)
    assert (told.agent_name, told.agent_version) == (agent, 2)


async def test_a_call_may_name_the_version_and_its_longest_duration(
    control: Control, temporal: Client, worker: Worker, agent: str
) -> None:
    body = {
        "phone_number": NUMBER,
        "agent": {"name": agent, "version": 1},
        "variables": {"company": "Fern & Fox"},
        "max_duration_seconds": 60,
    }
    response = await control.http.post("/calls", json=body)

    params = await params_of(temporal, response.json()["workflow_id"])
    assert (params.greeting, params.agent_version, params.max_duration_seconds) == ("First.", 1, 60)


async def test_values_that_are_missing_unknown_or_too_long_are_named(control: Control, agent: str) -> None:
    assert await places(control, agent=agent) == [
        ["body", "variables", "company"],
        ["body", "variables", "name"],
    ]
    assert await places(control, agent=agent, variables=VALUES | {"other": "x"}) == [
        ["body", "variables", "other"]
    ]
    assert await places(control, agent=agent, variables=VALUES | {"name": "x" * 4097}) == [
        ["body", "variables", "name"]
    ]
    # Each fits, and the greeting with it does not.
    assert await places(control, agent=agent, variables=VALUES | {"name": "x" * 4096}) == [
        ["body", "variables"]
    ]
    assert await places(control, agent=agent, variables=VALUES | {"name": 7}) == [
        ["body", "variables", "name"]
    ]


async def test_an_agent_that_can_not_be_called_is_named(control: Control, agent: str) -> None:
    assert await places(control, agent="nobody", variables=VALUES) == [["body", "agent"]]
    assert await places(control, agent={"name": agent, "version": 9}, variables=VALUES) == [["body", "agent"]]
    assert await places(control, agent={"name": agent, "version": 0}) == [["body", "agent", "version"]]
    assert await places(control, agent={"name": agent, "voice": "Kore"}) == [["body", "agent", "voice"]]
    assert await places(control, agent=agent, system_prompt="Mine.") == [["body", "system_prompt"]]
    await control.http.delete(f"/agents/{agent}")
    assert await places(control, agent=agent, variables=VALUES) == [["body", "agent"]]


async def test_values_without_an_agent_are_refused(control: Control) -> None:
    response = await control.http.post("/calls", json=NEW_CALL | {"variables": VALUES})
    assert [problem["loc"] for problem in response.json()["detail"]] == [["body", "variables"]]


async def test_an_idempotency_key_finds_the_call_of_the_same_request_though_the_agent_has_changed(
    control: Control, temporal: Client, worker: Worker, agent: str
) -> None:
    body = {"phone_number": NUMBER, "agent": agent, "variables": VALUES}
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first = await control.http.post("/calls", json=body, headers=key)
    changed = PROFILE | {"greeting": "Other {{name}}."}
    assert (await control.http.put(f"/agents/{agent}", json={"profile": changed})).json()["version"] == 3
    again = await control.http.post("/calls", json=body, headers=key)

    assert again.json() == first.json()
    other = await control.http.post(
        "/calls", json=body | {"variables": VALUES | {"name": "Ada"}}, headers=key
    )
    assert other.status_code == 409
    assert (await params_of(temporal, first.json()["workflow_id"])).agent_version == 2


async def test_grpc_calls_with_the_same_agents_and_names_its_own_fields(
    control: Control, temporal: Client, worker: Worker, agent: str
) -> None:
    asked = pb.CreateCallRequest(phone_number=NUMBER, agent_name=agent, variables=VALUES)
    async with grpc.aio.insecure_channel(control.endpoints.grpc) as channel:
        stub: Any = CallServiceStub(channel)
        created = await stub.CreateCall(asked)

        async def refused(**changes: Any) -> list[str]:
            request = pb.CreateCallRequest()
            request.CopyFrom(asked)
            request.MergeFrom(pb.CreateCallRequest(**changes))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.CreateCall(request)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            return violated(caught.value)

        assert await refused(agent_name="nobody") == ["agent_name"]
        assert await refused(agent_version=2**31) == ["agent_version"]
        assert await refused(variables={"other": ""}) == ["variables.other"]
        own = {"system_prompt": "x", "greeting": "x", "tools_json": "[]", "agent": AgentSettings()}
        assert await refused(**own) == ["greeting", "system_prompt", "tools_json", "agent"]
        inline = pb.CreateCallRequest(phone_number=NUMBER, system_prompt="x", agent_version=1)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.CreateCall(inline)
        assert violated(caught.value) == ["agent_version"]

    params = await params_of(temporal, created.workflow_id)
    assert (params.agent_name, params.agent_version) == (agent, 2)
    assert params.greeting == "Hello {{company}}!"
