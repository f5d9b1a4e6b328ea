"""What may be done to a call: begin it, end it, tell it what Twilio says. Entry points only translate."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import structlog
from google.protobuf.json_format import MessageToDict

from control_plane import metrics
from control_plane.domain import principal
from control_plane.domain.calls import AgentCall, NewCall
from control_plane.errors import CallNotFound, DependencyUnavailable, InvalidCall
from control_plane.service.dialing import Admission, Ask
from control_plane.service.dialing_ports import Owners
from control_plane.service.once import Once, digest
from control_plane.service.ports import (
    CallRepository,
    IdempotencyKeys,
    Orchestrator,
    Session,
    SessionStore,
    ToolDefinitions,
)
from control_plane.service.views import find_status
from control_plane.tools.definitions import BuiltIn, Definition
from control_plane.tools.urls import ToolRefused, UrlPolicy, check
from protos.gemini.check import Service, is_unknown, violations
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings
from workflows.contracts import CallParams, CallStatus, Terminate, TwilioStatus

log = structlog.get_logger(__name__)

# A start that failed for us may still have reached Temporal; for this long we look whether it did.
UNDO_FOR_S = 45.0
UNDO_EVERY_S = 1.5
TAKEN_OVER_S = 15.0  # a client that retries with its idempotency key does so within seconds
GIVE_UP_TRIES = 4
MAX_UNDOING = 256  # tasks; above it a failed start is only counted

STREAM_TOKEN_BYTES = 24


@dataclass(frozen=True)
class Created:
    """A call whose workflow runs."""

    workflow_id: str
    run_id: str
    phone_number: str
    status: CallStatus = CallStatus.INITIATED


@dataclass(frozen=True)
class Terminated:
    """The call's status when its end was asked for; `over`: it had ended before."""

    workflow_id: str
    status: CallStatus

    @property
    def over(self) -> bool:
        return self.status.final


class AgentCalls(Protocol):
    """Where the calls of stored agents come from."""

    async def new_call(self, asked: AgentCall) -> NewCall:
        """Raises InvalidCall, DependencyUnavailable."""


class Calls:
    """The use cases, over the ports they need."""

    def __init__(
        self,
        sessions: SessionStore,
        repository: CallRepository,
        orchestrator: Orchestrator,
        tools: ToolDefinitions,
        tool_policy: UrlPolicy,
        service: Service,
        keys: IdempotencyKeys,
        admission: Admission,
        owners: Owners,
        agents: AgentCalls,
    ) -> None:
        self._sessions = sessions
        self._keys = keys
        self._admission = admission
        self._owners = owners
        self._agents = agents
        self._repository = repository
        self._orchestrator = orchestrator
        self._tools = tools
        self._tool_policy = tool_policy
        self._service = service
        self._undoing: set[asyncio.Task[None]] = set()

    async def create(self, request: NewCall | AgentCall, key: str = "") -> Created:
        """Start the call's workflow; with an idempotency `key`, once for all requests that bring it.

        Raises:
            IdempotencyConflict: the key was used for another request.
            InvalidCall: a tool's URL is one we do not ask, the model would not take the setup, or there is
                no such agent, or it is not given the values it asks for.
            PolicyRefused: the dialing policy does not allow it (docs/dialing.md).
            DependencyUnavailable: Redis or Temporal, of an agent's call Postgres, is away; no call is made.
        """
        call = await self._resolved(request)
        check_urls(call.tools, self._tool_policy)
        check_agent(call.agent, call.tools, self._service)
        once = None
        workflow_id = f"call-{uuid.uuid4()}"
        if key:
            once = Once(self._keys, principal.current().id, key)
            try:
                held = await once.reserve(digest(request), workflow_id)
            except DependencyUnavailable as error:
                metrics.CALLS_REFUSED.labels(error.dependency).inc()
                raise
            if held.run_id:
                return Created(held.workflow_id, held.run_id, call.phone_number)
            workflow_id = held.workflow_id
        params = CallParams(
            workflow_id=workflow_id,
            call_id=workflow_id.removeprefix("call-"),
            phone_number=call.phone_number,
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
            principal=principal.current().id,
            agent_name=call.agent_name,
            agent_version=call.agent_version,
            recording=call.recording,
            webhook_url=call.webhook_url,
            on_voicemail=call.on_voicemail,
            voicemail_message=call.voicemail_message,
        )
        ask = Ask(workflow_id, params.principal, call.phone_number, call.max_duration_seconds)
        try:
            await self._admission.admit(ask)
            if call.tools:
                await self._tools.put(params.workflow_id, call.tools, call.max_duration_seconds)
            # The session first: Twilio's webhooks look for it as soon as the workflow runs.
            await self._sessions.put(new_session(params))
            run_id = await self._start(params, once)
        except DependencyUnavailable as error:
            metrics.CALLS_REFUSED.labels(error.dependency).inc()
            await self._admission.withdraw(ask)
            raise
        metrics.CALLS_CREATED.inc()
        log.info("call created", workflow_id=params.workflow_id, run_id=run_id)
        return Created(params.workflow_id, run_id, params.phone_number)

    async def terminate(self, workflow_id: str, reason: str = "") -> Terminated:
        """Ask the call to end; one that is over already stays as it is.

        Raises:
            CallNotFound: no such call.
            DependencyUnavailable: Temporal, or both Redis and Postgres, are away.
        """
        status = await find_status(self._sessions, self._repository, workflow_id)
        if status.final:
            return Terminated(workflow_id, status)
        try:
            await self._orchestrator.terminate(workflow_id, Terminate(reason))
        except CallNotFound:
            # It ended between our look and our request; then its end has been recorded by now.
            status = await find_status(self._sessions, self._repository, workflow_id)
            if not status.final:
                raise
        return Terminated(workflow_id, status)

    async def twilio_status(self, workflow_id: str, status: TwilioStatus) -> bool:
        """Hand a verified status callback to the call's workflow; False: none runs (any more).

        Raises:
            DependencyUnavailable: Temporal is away, and Twilio will not say it again.
        """
        await self.note_call_sid(workflow_id, status.call_sid)
        try:
            await self._orchestrator.twilio_status(workflow_id, status)
        except CallNotFound:
            return False
        except DependencyUnavailable as error:
            metrics.WEBHOOKS_LOST.labels(error.dependency).inc()
            log.error(
                "status callback lost",
                workflow_id=workflow_id,
                call_sid=status.call_sid,
                status=status.status,
                sequence=status.sequence,
                error=str(error),
            )
            raise
        return True

    async def note_call_sid(self, workflow_id: str, call_sid: str) -> None:
        """Keep in the session that Twilio has placed the call.

        A dial whose answer was lost is looked up there before anybody is rung a second time. That is a second
        source, so Redis being away is no reason to refuse what Twilio says.
        """
        try:
            await self._sessions.update(workflow_id, call_sid=call_sid)
            await self._owners.placed(workflow_id, call_sid)
        except DependencyUnavailable as error:
            log.warning("call sid not noted", workflow_id=workflow_id, call_sid=call_sid, error=str(error))

    async def close(self) -> None:
        """Stop looking after failed starts."""
        undoing = list(self._undoing)
        for task in undoing:
            task.cancel()
        await asyncio.gather(*undoing, return_exceptions=True)

    async def _resolved(self, request: NewCall | AgentCall) -> NewCall:
        if isinstance(request, NewCall):
            return request
        try:
            return await self._agents.new_call(request)
        except DependencyUnavailable as error:
            metrics.CALLS_REFUSED.labels(error.dependency).inc()
            raise

    async def _start(self, params: CallParams, once: Once | None) -> str:
        try:
            run_id = await self._orchestrator.start_call(params)
        except (DependencyUnavailable, asyncio.CancelledError):  # the latter: nobody waits for the answer
            self._undo(params.workflow_id, once)
            raise
        if once is not None and not await self._settled(once, params.workflow_id, run_id):
            raise DependencyUnavailable("temporal", "an earlier attempt of this request is being undone")
        return run_id

    async def _settled(self, once: Once, workflow_id: str, run_id: str) -> bool:
        try:
            return await once.started(workflow_id, run_id)
        except DependencyUnavailable as error:
            # The same request finds the workflow all the same, by its id.
            log.warning("idempotency key not settled", workflow_id=workflow_id, error=str(error))
            return True

    def _undo(self, workflow_id: str, once: Once | None) -> None:
        """The start failed for us, but its answer alone may have been lost: then nobody must be called."""
        if len(self._undoing) >= MAX_UNDOING:
            metrics.STARTS_UNCHECKED.inc()
            log.warning("failed start not looked after", workflow_id=workflow_id)
            return
        task = asyncio.create_task(self._undo_start(workflow_id, once), name=f"undo {workflow_id}")
        self._undoing.add(task)
        task.add_done_callback(self._undoing.discard)

    async def _undo_start(self, workflow_id: str, once: Once | None) -> None:
        if once is not None and not await self._given_up(workflow_id, once):
            return
        try:
            await self._sessions.delete(workflow_id)
        except DependencyUnavailable as error:
            # It expires by itself; until then it is a session nobody has the id of.
            log.warning("session left behind", workflow_id=workflow_id, error=str(error))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + UNDO_FOR_S
        request = Terminate("its start was answered with 503")
        while loop.time() < deadline:
            try:
                await self._orchestrator.terminate(workflow_id, request)
            except CallNotFound:
                return
            except DependencyUnavailable:
                await asyncio.sleep(UNDO_EVERY_S)
                continue
            metrics.STARTS_UNDONE.inc()
            log.warning("call ended: its start was answered with 503", workflow_id=workflow_id)
            return
        metrics.STARTS_UNCHECKED.inc()
        log.warning("failed start not looked after: Temporal stayed away", workflow_id=workflow_id)

    async def _given_up(self, workflow_id: str, once: Once) -> bool:
        """Whoever brings the key again soon takes the call over; False: somebody has, or may yet."""
        for _ in range(GIVE_UP_TRIES):
            await asyncio.sleep(TAKEN_OVER_S)
            try:
                return await once.give_up(workflow_id)
            except DependencyUnavailable:
                continue
        metrics.STARTS_UNCHECKED.inc()
        log.warning("failed start not looked after: Redis stayed away", workflow_id=workflow_id)
        return False


def check_urls(tools: Sequence[Definition], policy: UrlPolicy) -> None:
    """Raises InvalidCall, with a reason for every URL that no tool may have."""
    violations = {}
    for index, tool in enumerate(tools):
        if not isinstance(tool, BuiltIn):
            try:
                check(tool.url, policy)
            except ToolRefused as refused:
                violations[f"tools.{index}.url"] = str(refused)
    if violations:
        raise InvalidCall(violations)


def check_agent(agent: AgentSettings, tools: Sequence[Definition], service: Service) -> None:
    """Raises InvalidCall, with a reason for everything that the call's model does not take."""
    functions = {f"tools.{i}": tool for i, tool in enumerate(tools) if not isinstance(tool, BuiltIn)}
    found = violations(agent, service, functions)
    if found:
        raise InvalidCall(
            {name if name.startswith("tools.") else f"agent.{name}": why for name, why in found.items()}
        )
    if is_unknown(agent, service):
        log.warning("nothing is known of this model, so the setup is not checked", model=service.model(agent))


def asked_of_model(agent: AgentSettings) -> dict[str, Any]:
    """What is set, without model and voice, which travel on their own."""
    fields: dict[str, Any] = MessageToDict(agent, preserving_proto_field_name=True)
    return {name: value for name, value in fields.items() if name not in ("model", "voice")}


def new_session(params: CallParams) -> Session:
    """Of a call that has just been asked for."""
    return Session(
        call_id=params.call_id,
        workflow_id=params.workflow_id,
        phone_number=params.phone_number,
        greeting=params.greeting,
        system_prompt=params.system_prompt,
        status=CallStatus.INITIATED.value,
        stream_sid="",
        created_at=params.created_at,
        max_duration_seconds=params.max_duration_seconds,
        agent_name=params.agent_name,
        agent_version=params.agent_version,
    )
