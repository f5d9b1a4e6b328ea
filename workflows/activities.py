"""The activities of CallWorkflow that are over in seconds; the one that follows the call is elsewhere.

Errors: ControlPlaneErrors pass through. Temporal keeps the class's name as the error's type, which is what
`contracts.ERRORS` and the retry policies go by.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Protocol

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from control_plane.domain.events import status_event
from control_plane.errors import (
    ControlPlaneError,
    DependencyUnavailable,
    ModelRefused,
    NodeFull,
)
from control_plane.service.dialing import Ask
from control_plane.service.dialing_ports import Intents, Owners, Pacer
from control_plane.service.ports import (
    CallRepository,
    EventLog,
    MediaNode,
    Session,
    ToolDeclarations,
)
from workflows import metrics
from workflows.activities_line import LinePorts
from workflows.activities_webhooks import WebhookPorts
from workflows.contracts import (
    ERRORS,
    CallParams,
    Dial,
    Dialed,
    Direction,
    EndMedia,
    FinishCall,
    HangUp,
    PreparedMedia,
    PrepareMedia,
    RecordStatus,
)
from workflows.dialing import Dialer

_log = structlog.get_logger(__name__)

# Three nodes at 6 s each fit in prepare_media's attempt of 20 s.
MAX_NODES_TRIED = 3
# Postgres may be slow; the session in Redis, which TwiML waits for, was written beside it. Stays under the
# attempt's own limit, so that no attempt outlives the next one's start.
RECORD_LIMIT_S = 6.0


class Ports(LinePorts, WebhookPorts, Protocol):
    """All that activities need of the outside world; `control_plane.bootstrap.worker` builds it."""

    @property
    def calls(self) -> CallRepository: ...
    @property
    def events(self) -> EventLog: ...
    @property
    def tools(self) -> ToolDeclarations: ...
    @property
    def pacer(self) -> Pacer: ...
    @property
    def intents(self) -> Intents: ...
    @property
    def owners(self) -> Owners: ...


class CallActivities:
    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._dialer = Dialer(
            ports.telephony, ports.sessions, ports.admission, ports.pacer, ports.intents, ports.owners
        )

    @activity.defn(name="prepare_media")
    async def prepare_media(self, request: PrepareMedia) -> PreparedMedia:
        nodes = self._ports.nodes
        candidates = by_load(await nodes.live())
        if not candidates:
            raise ApplicationError("no media node is alive with room for a call", type=ERRORS.no_node)
        tools = await self._ports.tools.declarations(request.workflow_id) if request.tools else ()
        failures: list[str] = []
        for node in candidates[:MAX_NODES_TRIED]:
            try:
                return await nodes.prepare(node, request, tools)
            except (NodeFull, DependencyUnavailable) as exc:
                failures.append(str(exc))
            except ModelRefused:
                raise
            except ControlPlaneError as exc:
                # The node takes the request for nonsense; it will tomorrow.
                raise ApplicationError(str(exc), type=ERRORS.no_node, non_retryable=True) from exc
        raise ApplicationError("; ".join(failures), type=ERRORS.no_node)

    @activity.defn(name="dial")
    async def dial(self, request: Dial) -> Dialed:
        """Have Twilio call the number, at most once whatever happens to attempts, workers and answers."""
        return await self._dialer.dial(request, activity.info().attempt)

    @activity.defn(name="hang_up")
    async def hang_up(self, request: HangUp) -> None:
        await self._ports.telephony.end(request.call_sid, request.status)

    @activity.defn(name="end_media")
    async def end_media(self, request: EndMedia) -> None:
        await self._ports.nodes.end(request.grpc_address, request.workflow_id, request.reason)

    @activity.defn(name="record_status")
    async def record_status(self, change: RecordStatus) -> None:
        """Session and row side by side: TwiML waits for the session, and must not wait for Postgres."""
        async with asyncio.timeout(RECORD_LIMIT_S):
            outcomes = await asyncio.gather(
                self._record_session(change), self._ports.calls.record(change), return_exceptions=True
            )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    @activity.defn(name="finish_call")
    async def finish_call(self, result: FinishCall) -> None:
        """The row first: whoever reads the final status in the session may ask for the result at once.

        With Postgres away the session tells the end all the same, and the row follows with a later attempt.
        """
        try:
            await self._ports.calls.finish(result)
        finally:
            await self._end_session(result)
            if result.params.direction == Direction.OUTBOUND:  # nobody asked whether others may call us
                await self._release(result)
        metrics.CALLS_FINISHED.labels(result.status.value, result.end_reason.value).inc()
        if result.answered_at:
            metrics.CALL_SECONDS.observe(result.duration_seconds)

    async def _end_session(self, result: FinishCall) -> None:
        workflow_id = result.params.workflow_id
        try:
            await self._ports.sessions.update(
                workflow_id,
                news=status_event(
                    workflow_id,
                    result.status,
                    int(time.time() * 1000),
                    end_reason=result.end_reason.value,
                    error=result.error,
                    duration_seconds=result.duration_seconds,
                ),
                status=result.status.value,
                call_sid=result.call_sid,
                stream_sid=result.stream_sid,
            )
        except DependencyUnavailable as exc:
            # The row is what counts; a session that stays behind expires.
            _log.warning("the session keeps its last status", workflow_id=workflow_id, error=str(exc))

    async def _release(self, result: FinishCall) -> None:
        """Give back the call's place under the caps. Raises DependencyUnavailable; then it is tried again."""
        params = result.params
        ask = Ask(params.workflow_id, params.principal, params.phone_number, params.max_duration_seconds)
        await self._ports.admission.release(ask, result.duration_seconds)

    async def _record_session(self, change: RecordStatus) -> None:
        sessions = self._ports.sessions
        workflow_id = change.params.workflow_id
        if await sessions.get(workflow_id) is None:
            await sessions.put(_session(change.params, change.run_id))
        known = {
            "run_id": change.run_id,
            "status": change.status.value,
            "call_sid": change.call_sid,
            "stream_sid": change.stream_sid,
            "stream_url": change.stream_url,
            "node_id": change.node_id,
        }
        # What this snapshot does not know yet, a webhook may have brought already.
        await sessions.update(
            workflow_id,
            news=status_event(workflow_id, change.status, int(time.time() * 1000)),
            **{name: value for name, value in known.items() if value},
        )


def by_load(nodes: Sequence[MediaNode]) -> list[MediaNode]:
    """Nodes with room, least loaded first; equals in random order, so that workers don't all choose one."""
    open_nodes = [node for node in nodes if not node.draining and node.calls < node.capacity]
    return sorted(open_nodes, key=lambda node: (node.calls / node.capacity, random.random()))


def _session(params: CallParams, run_id: str) -> Session:
    return Session(
        call_id=params.call_id,
        workflow_id=params.workflow_id,
        phone_number=params.phone_number,
        greeting=params.greeting,
        system_prompt=params.system_prompt,
        status="initiated",
        stream_sid="",
        created_at=params.created_at,
        run_id=run_id,
        max_duration_seconds=params.max_duration_seconds,
    )
