"""AgentService over gRPC: the same agents, the same rules."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from protos.voiceplane.agents.v1 import agent_service_pb2 as pb
from protos.voiceplane.agents.v1.agent_service_pb2_grpc import AgentServiceStub
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings
from tests.support.control import Control
from tests.support.violations import violated

TOOLS = json.dumps(
    [
        {
            "type": "http",
            "name": "book",
            "description": "Books a table.",
            "url": "https://tools.example.com/book",
            "headers": {"Authorization": "Bearer tool-secret"},
        }
    ]
)
PROFILE = pb.AgentProfile(
    system_prompt="You answer the phone of {{company}}.",
    greeting="Hello!",
    settings=AgentSettings(voice="Kore"),
    tools_json=TOOLS,
    recording=True,
)


@pytest.fixture
async def stub(control: Control) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(control.endpoints.grpc) as channel:
        yield AgentServiceStub(channel)


def new_name() -> str:
    return f"agent-{uuid.uuid4().hex[:12]}"


async def refusal(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_an_agents_life(stub: Any, control: Control) -> None:
    name = new_name()
    first = await stub.CreateAgent(pb.CreateAgentRequest(name=name, profile=PROFILE))
    assert (first.name, first.version, first.latest_version) == (name, 1, 1)
    assert list(first.variables) == ["company"]
    assert first.profile.max_duration_seconds == 1800
    assert "tool-secret" not in str(first)
    assert not first.HasField("archived_at")
    assert await stub.GetAgent(pb.GetAgentRequest(name=name)) == first

    # What was read can be written: its secrets stay, and nothing else changes.
    same = await stub.UpdateAgent(pb.UpdateAgentRequest(name=name, profile=first.profile, expected_version=1))
    assert same.version == 1
    first.profile.greeting = "Hi."
    second = await stub.UpdateAgent(pb.UpdateAgentRequest(name=name, profile=first.profile))
    assert (second.version, second.profile.greeting) == (2, "Hi.")
    assert (await stub.GetAgent(pb.GetAgentRequest(name=name, version=1))).profile.greeting == "Hello!"
    versions = await stub.ListAgentVersions(pb.ListAgentVersionsRequest(name=name, page_size=1))
    assert [agent.version for agent in versions.versions] == [2]
    rest = await stub.ListAgentVersions(
        pb.ListAgentVersionsRequest(name=name, page_token=versions.next_page_token)
    )
    assert [agent.version for agent in rest.versions] == [1]
    assert (await control.http.get(f"/agents/{name}")).json()["version"] == 2

    gone = await stub.DeleteAgent(pb.DeleteAgentRequest(name=name, expected_version=2))
    assert gone.HasField("archived_at")
    listed = await stub.ListAgents(pb.ListAgentsRequest(page_size=200))
    assert name not in [agent.name for agent in listed.agents]
    listed = await stub.ListAgents(pb.ListAgentsRequest(page_size=200, show_archived=True))
    assert name in [agent.name for agent in listed.agents]
    back = await stub.CreateAgent(pb.CreateAgentRequest(name=name, profile=PROFILE))
    assert back.version == 3


async def test_what_is_refused_has_the_status_that_fits(stub: Any) -> None:
    name = new_name()
    await stub.CreateAgent(pb.CreateAgentRequest(name=name, profile=PROFILE))
    other = pb.AgentProfile(system_prompt="Other.")
    cases: list[tuple[Any, grpc.StatusCode]] = [
        (stub.CreateAgent(pb.CreateAgentRequest(name=name, profile=PROFILE)), grpc.StatusCode.ALREADY_EXISTS),
        (stub.GetAgent(pb.GetAgentRequest(name="nobody")), grpc.StatusCode.NOT_FOUND),
        (stub.GetAgent(pb.GetAgentRequest(name=name, version=9)), grpc.StatusCode.NOT_FOUND),
        (
            stub.UpdateAgent(pb.UpdateAgentRequest(name=name, profile=other, expected_version=9)),
            grpc.StatusCode.ABORTED,
        ),
        (stub.DeleteAgent(pb.DeleteAgentRequest(name=name, expected_version=9)), grpc.StatusCode.ABORTED),
        (stub.DeleteAgent(pb.DeleteAgentRequest(name="nobody")), grpc.StatusCode.NOT_FOUND),
        (stub.ListAgentVersions(pb.ListAgentVersionsRequest(name="nobody")), grpc.StatusCode.NOT_FOUND),
    ]
    for call, code in cases:
        assert (await refusal(call)).code() is code
    await stub.DeleteAgent(pb.DeleteAgentRequest(name=name))
    archived = await refusal(stub.UpdateAgent(pb.UpdateAgentRequest(name=name, profile=other)))
    assert archived.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_fields_that_are_wrong_are_named_as_the_request_names_them(stub: Any) -> None:
    async def fields(call: Any) -> list[str]:
        error = await refusal(call)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        return sorted(violated(error))

    nameless = pb.CreateAgentRequest(profile=pb.AgentProfile(greeting="{{", settings={"temperature": 9}))
    assert await fields(stub.CreateAgent(nameless)) == [
        "name",
        "profile.greeting",
        "profile.settings.temperature",
        "profile.system_prompt",
    ]
    broken = pb.AgentProfile(system_prompt="x", tools_json='[{"type": "http"}]')
    assert "profile.tools_json.0.http.name" in await fields(
        stub.CreateAgent(pb.CreateAgentRequest(name="x", profile=broken))
    )
    big = 2**32 - 1
    assert await fields(stub.GetAgent(pb.GetAgentRequest(name="x", version=big))) == ["version"]
    update = pb.UpdateAgentRequest(name="x", profile=PROFILE, expected_version=big)
    assert await fields(stub.UpdateAgent(update)) == ["expected_version"]
    assert await fields(stub.ListAgents(pb.ListAgentsRequest(page_token="x"))) == ["page_token"]
