"""`/agents` of the REST API: translates HTTP to handlers and back, nothing else."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from control_plane.domain.agents import AgentVersion
from control_plane.domain.listing import MAX_PAGE
from control_plane.entrypoints import bodies
from control_plane.entrypoints.agent_profiles import AgentList, NewAgentBody, ProfileBody, StoredAgent
from control_plane.entrypoints.problems import problems
from control_plane.errors import AgentChanged
from control_plane.service.agents import MAX_TOKEN, Agents

_PROFILE: dict[str, Any] = {
    "system_prompt": "You answer the phone of {{company}}. Be brief and kind.",
    "greeting": "Hello, this is {{company}}. How can I help you?",
    "settings": {"voice": "Kore"},
}
_IF_MATCH: dict[str, Any] = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "example": '"3"',
    "description": "the ETag of the version that the request is about; without it, whichever is the latest",
}
_PageSize = Annotated[
    int, Query(ge=0, le=2**31 - 1, description=f"0: 50; more than {MAX_PAGE} is taken for {MAX_PAGE}")
]
_PageToken = Annotated[str, Query(max_length=MAX_TOKEN, description="next_page_token of the page before")]
_ETAG = re.compile(r'"([0-9]{1,9})"')
_NO_VERSION = 2**31 - 1  # none ever has this number


def new_router(agents: Agents) -> APIRouter:
    router = APIRouter(prefix="/agents", tags=["agents"])

    @router.post(
        "",
        status_code=201,
        responses=problems("CONTENT_TOO_LARGE", "AGENT_EXISTS"),
        openapi_extra=bodies.described(NewAgentBody, {"name": "receptionist", "profile": _PROFILE}),
    )
    async def create_agent(request: Request, response: Response) -> StoredAgent:
        """Store an agent. An archived one of that name comes back, with its next version."""
        body = await bodies.read(NewAgentBody, request)
        agent = await agents.create(body.name, body.profile.read())
        response.headers["Location"] = f"/agents/{agent.name}"
        return _answered(agent, response)

    @router.get("", responses=problems())
    async def list_agents(
        page_size: _PageSize = 0,
        page_token: _PageToken = "",
        archived: Annotated[bool, Query(description="archived ones as well")] = False,
    ) -> AgentList:
        """Agents in their latest versions, by name."""
        page = await agents.page(size=page_size, token=page_token, archived=archived)
        return AgentList(
            agents=[StoredAgent.of(each) for each in page.agents], next_page_token=page.next_token
        )

    @router.get("/{name}", responses=problems("AGENT_NOT_FOUND"))
    async def get_agent(name: str, response: Response) -> StoredAgent:
        """The latest version; its number is the ETag."""
        return _answered(await agents.get(name), response)

    @router.put(
        "/{name}",
        responses=problems("CONTENT_TOO_LARGE", "AGENT_NOT_FOUND", "AGENT_CHANGED", "AGENT_ARCHIVED"),
        openapi_extra=bodies.described(ProfileBody, {"profile": _PROFILE}) | {"parameters": [_IF_MATCH]},
    )
    async def update_agent(name: str, request: Request, response: Response) -> StoredAgent:
        """Replace the profile: the next version. The same profile again makes no new one."""
        body = await bodies.read(ProfileBody, request)
        expected = await _expected(agents, name, request)
        return _answered(await agents.update(name, body.profile.read(), expected), response)

    @router.delete(
        "/{name}",
        status_code=204,
        response_class=Response,
        responses=problems("AGENT_NOT_FOUND", "AGENT_CHANGED"),
        openapi_extra={"parameters": [_IF_MATCH]},
    )
    async def delete_agent(name: str, request: Request) -> Response:
        """Archive the agent: it takes no calls. Its versions can still be read."""
        await agents.archive(name, await _expected(agents, name, request))
        return Response(status_code=204)

    @router.get("/{name}/versions", responses=problems("AGENT_NOT_FOUND"))
    async def list_agent_versions(
        name: str, page_size: _PageSize = 0, page_token: _PageToken = ""
    ) -> AgentList:
        """The agent's versions, the newest first."""
        page = await agents.versions(name, size=page_size, token=page_token)
        return AgentList(
            agents=[StoredAgent.of(each) for each in page.agents], next_page_token=page.next_token
        )

    @router.get("/{name}/versions/{version}", responses=problems("AGENT_NOT_FOUND"))
    async def get_agent_version(name: str, version: str, response: Response) -> StoredAgent:
        """One version, as it was written."""
        number = int(version) if re.fullmatch("[1-9][0-9]{0,8}", version) else _NO_VERSION
        return _answered(await agents.get(name, number), response)

    return router


def _answered(agent: AgentVersion, response: Response) -> StoredAgent:
    response.headers["ETag"] = f'"{agent.version}"'
    return StoredAgent.of(agent)


async def _expected(agents: Agents, name: str, request: Request) -> int:
    """The version of If-Match (RFC 9110, 13.1.1); 0: there is none, or `*`.

    Raises:
        AgentNotFound, AgentChanged: what the header says is no version's tag, so it matches none.
    """
    value = request.headers.get("if-match", "*").strip()
    if value == "*":
        return 0
    tag = _ETAG.fullmatch(value)
    if tag is None or int(tag[1]) == 0:
        raise AgentChanged(name, (await agents.get(name)).version)
    return int(tag[1])
