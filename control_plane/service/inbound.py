"""Somebody calls one of our numbers: the call's workflow is started, whoever asks twice."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from control_plane import metrics
from control_plane.domain.calls import AgentCall
from control_plane.errors import AgentNotFound, InvalidCall
from control_plane.service.agents import Agents
from control_plane.service.handlers import STREAM_TOKEN_BYTES, asked_of_model, new_session
from control_plane.service.numbers import OF_THE_CALL, Number, NumberTable
from control_plane.service.ports import Orchestrator, SessionStore, ToolDefinitions
from control_plane.tools.definitions import Definition
from workflows.contracts import CallParams, Direction

log = structlog.get_logger(__name__)

# The ids of inbound calls follow from Twilio's, so that its second request finds what the first one began.
_IDS = uuid.UUID("6f0f3b0e-4f0e-4d0c-9d58-0e6d0c1f7a55")
MAX_CALLER = 256  # a SIP address may stand where a number is usual


def workflow_id(call_sid: str) -> str:
    """Of the inbound call with this sid."""
    return f"call-{uuid.uuid5(_IDS, call_sid)}"


class Inbound:
    def __init__(
        self,
        numbers: NumberTable,
        agents: Agents,
        sessions: SessionStore,
        orchestrator: Orchestrator,
        tools: ToolDefinitions,
    ) -> None:
        self._numbers = numbers
        self._agents = agents
        self._sessions = sessions
        self._orchestrator = orchestrator
        self._tools = tools

    async def receive(self, call_sid: str, caller: str, called: str) -> str | None:
        """Start the call's workflow, or find it started; answers its id. None: nobody answers this number.

        Raises:
            DependencyUnavailable: Redis, Temporal or Postgres is away; asking again is safe.
        """
        call_id = workflow_id(call_sid)
        if await self._sessions.get(call_id) is not None:
            return call_id
        number = await self._numbers.get(called)
        if number is None:
            metrics.INBOUND.labels("unknown number").inc()
            log.info("nobody answers this number", number=called, call_sid=call_sid)
            return None
        try:
            params, tools = await self._params(call_id, call_sid, caller[:MAX_CALLER], number)
        except (InvalidCall, AgentNotFound) as error:
            # The agent has changed since it was given the number.
            metrics.INBOUND.labels("unfit agent").inc()
            log.error(
                "an inbound call can't be answered", number=called, agent=number.agent, error=str(error)
            )
            return None
        if tools:
            await self._tools.put(call_id, tools, params.max_duration_seconds)
        await self._sessions.put(new_session(params))
        await self._orchestrator.start_call(params)
        metrics.INBOUND.labels("answered").inc()
        log.info("call received", workflow_id=call_id, call_sid=call_sid, agent=number.agent)
        return call_id

    async def _params(
        self, call_id: str, call_sid: str, caller: str, number: Number
    ) -> tuple[CallParams, Sequence[Definition]]:
        """Raises InvalidCall, AgentNotFound."""
        asked = set((await self._agents.get(number.agent)).profile.variables)
        known = dict(zip(OF_THE_CALL, (caller, number.number), strict=True))
        variables = dict(number.variables) | {name: known[name] for name in known if name in asked}
        call = await self._agents.new_call(
            AgentCall(caller, number.agent, variables=variables, direction=Direction.INBOUND)
        )
        params = CallParams(
            workflow_id=call_id,
            call_id=call_id.removeprefix("call-"),
            phone_number=caller,
            greeting=call.greeting,
            greeting_mode=call.greeting_mode,
            system_prompt=call.system_prompt,
            max_duration_seconds=call.max_duration_seconds,
            stream_token=secrets.token_urlsafe(STREAM_TOKEN_BYTES),
            created_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            model=call.agent.model,
            voice=call.agent.voice,
            tools=len(call.tools),
            agent=asked_of_model(call.agent),
            agent_name=call.agent_name,
            agent_version=call.agent_version,
            recording=call.recording,
            webhook_url=call.webhook_url,
            direction=Direction.INBOUND,
            own_number=number.number,
            call_sid=call_sid,
        )
        return params, call.tools
