"""AgentService (protos/voiceplane/agents/v1): translates gRPC to handlers and back, nothing else.

Errors are raised as they are: entrypoints.grpc_guard answers with them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import ValidationError

from control_plane.domain import calls
from control_plane.domain.agents import AgentVersion, Profile
from control_plane.errors import InvalidField
from control_plane.service.agents import Agents
from control_plane.tools.definitions import Definition, dump, load
from control_plane.tools.secrets import taken_out
from protos.voiceplane.agents.v1 import agent_service_pb2 as pb
from protos.voiceplane.agents.v1.agent_service_pb2_grpc import AgentServiceServicer

Context = grpc.aio.ServicerContext[Any, Any]


class AgentService(AgentServiceServicer):
    """The handlers REST uses too."""

    def __init__(self, agents: Agents) -> None:
        self._agents = agents

    async def CreateAgent(self, request: pb.CreateAgentRequest, context: Context) -> pb.Agent:  # noqa: N802
        return _agent(await self._agents.create(request.name, _profile(request.profile)))

    async def GetAgent(self, request: pb.GetAgentRequest, context: Context) -> pb.Agent:  # noqa: N802
        return _agent(await self._agents.get(request.name, _in_range("version", request.version)))

    async def ListAgents(  # noqa: N802
        self, request: pb.ListAgentsRequest, context: Context
    ) -> pb.ListAgentsResponse:
        page = await self._agents.page(
            size=request.page_size, token=request.page_token, archived=request.show_archived
        )
        return pb.ListAgentsResponse(
            agents=[_agent(each) for each in page.agents], next_page_token=page.next_token
        )

    async def UpdateAgent(self, request: pb.UpdateAgentRequest, context: Context) -> pb.Agent:  # noqa: N802
        expected = _in_range("expected_version", request.expected_version)
        return _agent(await self._agents.update(request.name, _profile(request.profile), expected))

    async def DeleteAgent(self, request: pb.DeleteAgentRequest, context: Context) -> pb.Agent:  # noqa: N802
        expected = _in_range("expected_version", request.expected_version)
        return _agent(await self._agents.archive(request.name, expected))

    async def ListAgentVersions(  # noqa: N802
        self, request: pb.ListAgentVersionsRequest, context: Context
    ) -> pb.ListAgentVersionsResponse:
        page = await self._agents.versions(request.name, size=request.page_size, token=request.page_token)
        return pb.ListAgentVersionsResponse(
            versions=[_agent(each) for each in page.agents], next_page_token=page.next_token
        )


def _profile(profile: pb.AgentProfile) -> Profile:
    """Raises InvalidField."""
    return Profile(
        system_prompt=profile.system_prompt,
        greeting=profile.greeting,
        greeting_mode=profile.greeting_mode,
        max_duration_seconds=profile.max_duration_seconds or calls.DEFAULT_DURATION_SECONDS,
        tools=_tools(profile.tools_json),
        settings=profile.settings,
        recording=profile.recording,
        webhook_url=profile.webhook_url,
    )


def _tools(tools_json: str) -> list[Definition]:
    try:
        return load(tools_json) if tools_json else []
    except ValidationError as error:
        found: dict[str, str] = {}
        for each in error.errors(include_url=False, include_input=False):
            where = ".".join(("profile", "tools_json", *(str(step) for step in each["loc"])))
            found.setdefault(where, each["msg"])
        raise InvalidField(found) from error


def _in_range(field: str, version: int) -> int:
    if version >= 2**31:
        raise InvalidField({field: "must be below 2147483648"})
    return version


def _agent(agent: AgentVersion) -> pb.Agent:
    profile = agent.profile
    shown, _ = taken_out(profile.tools)
    return pb.Agent(
        name=agent.name,
        version=agent.version,
        profile=pb.AgentProfile(
            system_prompt=profile.system_prompt,
            greeting=profile.greeting,
            greeting_mode=profile.greeting_mode,
            settings=profile.settings,
            tools_json=dump(shown) if shown else "",
            max_duration_seconds=profile.max_duration_seconds,
            recording=profile.recording,
            webhook_url=profile.webhook_url,
        ),
        variables=profile.variables,
        created_at=_timestamp(agent.created_at),
        created_by=agent.created_by,
        latest_version=agent.latest,
        archived_at=_timestamp(agent.archived_at) if agent.archived_at is not None else None,
    )


def _timestamp(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
