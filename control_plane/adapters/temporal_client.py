"""`ports.Orchestrator` on Temporal: starts, signals and asks CallWorkflow."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import (
    Client,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RetryConfig, RPCError, RPCStatusCode

from control_plane.errors import (
    CallBusy,
    CallNotFound,
    CallNotLive,
    ControlPlaneError,
    DependencyUnavailable,
)
from workflows.contracts import (
    CALL_WORKFLOW,
    ERRORS,
    TASK_QUEUE,
    CallParams,
    CallView,
    LeaveVoicemail,
    MachineDetected,
    SendDtmf,
    Terminate,
    TransferLeg,
    TransferRequest,
    TwilioStatus,
)
from workflows.webhook_contracts import WEBHOOK_WORKFLOW, Webhook

CONNECT_S = 1.5
ANSWER_S = 3.0  # a burst of starts may queue up inside Temporal; answering too early would refuse good calls
UPDATE_S = 8.0  # the workflow asks Twilio before it answers
OPERATION_S = 4.0  # everything: connecting, one call with its retries

_RPC = timedelta(seconds=ANSWER_S)
# The caller of our API retries; the client must not go on trying after we have answered.
_RETRY = RetryConfig(initial_interval_millis=50, max_elapsed_time_millis=int(ANSWER_S * 1000), max_retries=3)
_AWAY = frozenset(
    (
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.ABORTED,
        RPCStatusCode.INTERNAL,
        RPCStatusCode.UNKNOWN,
    )
)


class TemporalOrchestrator:
    """Connects on first use, so the API starts and answers while Temporal is away."""

    def __init__(self, host: str, namespace: str) -> None:
        self._host = host
        self._namespace = namespace
        self._client: Client | None = None
        self._connecting = asyncio.Lock()

    async def start_call(self, params: CallParams) -> str:
        async with self._reached() as client:
            try:
                handle = await client.start_workflow(
                    CALL_WORKFLOW,
                    params,
                    id=params.workflow_id,
                    task_queue=TASK_QUEUE,
                    # Also one that is over already must not be made twice.
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    rpc_timeout=_RPC,
                )
            except WorkflowAlreadyStartedError as error:
                # Ids are ours and random: the one there is was started by an earlier attempt of this very
                # request (or one with the same idempotency key), its answer lost on the way.
                return error.run_id or ""
        return handle.first_execution_run_id or handle.result_run_id or ""

    async def send_webhook(self, webhook: Webhook) -> None:
        """Each time anew: a webhook that was delivered may be asked for again."""
        async with self._reached() as client:
            await client.start_workflow(
                WEBHOOK_WORKFLOW,
                webhook,
                id=f"webhook-{webhook.id}-{secrets.token_hex(4)}",
                task_queue=TASK_QUEUE,
                rpc_timeout=_RPC,
            )

    async def terminate(self, workflow_id: str, request: Terminate) -> None:
        async with self._reached(workflow_id) as client:
            await client.get_workflow_handle(workflow_id).signal("terminate", request, rpc_timeout=_RPC)

    async def twilio_status(self, workflow_id: str, status: TwilioStatus) -> None:
        async with self._reached(workflow_id) as client:
            await client.get_workflow_handle(workflow_id).signal("twilio_status", status, rpc_timeout=_RPC)

    async def machine_detected(self, workflow_id: str, told: MachineDetected) -> None:
        async with self._reached(workflow_id) as client:
            await client.get_workflow_handle(workflow_id).signal("machine_detected", told, rpc_timeout=_RPC)

    async def transfer_leg(self, workflow_id: str, told: TransferLeg) -> None:
        async with self._reached(workflow_id) as client:
            await client.get_workflow_handle(workflow_id).signal("transfer_leg", told, rpc_timeout=_RPC)

    async def leave_voicemail(self, workflow_id: str, request: LeaveVoicemail) -> CallView:
        return await self._update(workflow_id, "leave_voicemail", request)

    async def send_dtmf(self, workflow_id: str, request: SendDtmf) -> CallView:
        return await self._update(workflow_id, "send_dtmf", request)

    async def transfer(self, workflow_id: str, request: TransferRequest) -> CallView:
        return await self._update(workflow_id, "transfer", request)

    async def _update(
        self, workflow_id: str, name: str, request: SendDtmf | TransferRequest | LeaveVoicemail
    ) -> CallView:
        """Raises CallNotFound, CallNotLive, CallBusy, DependencyUnavailable."""
        async with self._reached(workflow_id, UPDATE_S + 1) as client:
            handle = client.get_workflow_handle(workflow_id)
            try:
                view: CallView = await handle.execute_update(
                    name, request, result_type=CallView, rpc_timeout=timedelta(seconds=UPDATE_S)
                )
                return view
            except WorkflowUpdateFailedError as error:
                raise _refused(error) from error
            except WorkflowUpdateRPCTimeoutOrCancelledError as error:
                raise DependencyUnavailable("worker", "it did not take the request in time") from error

    async def view(self, workflow_id: str) -> CallView:
        async with self._reached(workflow_id) as client:
            handle = client.get_workflow_handle(workflow_id)
            try:
                view: CallView = await handle.query("status", result_type=CallView, rpc_timeout=_RPC)
            except WorkflowQueryFailedError as error:
                raise DependencyUnavailable("worker", str(error)) from error
        return view

    async def ping(self) -> None:
        async with self._reached() as client:
            await client.service_client.check_health(timeout=_RPC)

    async def pollers(self) -> int:
        """How many workers asked for workflow tasks on our queue in the last minutes."""
        request = DescribeTaskQueueRequest(
            namespace=self._namespace,
            task_queue=TaskQueue(name=TASK_QUEUE),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        )
        async with self._reached() as client:
            answer = await client.workflow_service.describe_task_queue(request, timeout=_RPC)
        return len(answer.pollers)

    async def _connected(self) -> Client:
        if self._client is not None:
            return self._client
        async with self._connecting:
            if self._client is None:
                try:
                    self._client = await Client.connect(
                        self._host,
                        namespace=self._namespace,
                        retry_config=_RETRY,
                        connect_timeout=timedelta(seconds=CONNECT_S),
                    )
                except RuntimeError as error:  # what the SDK raises for every failure to connect
                    raise DependencyUnavailable("temporal", str(error)) from error
            return self._client

    @asynccontextmanager
    async def _reached(self, workflow_id: str = "", limit_s: float = OPERATION_S) -> AsyncIterator[Client]:
        """A connected client; within the block Temporal's errors become ours."""
        try:
            async with asyncio.timeout(limit_s):
                yield await self._connected()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND and workflow_id and not _lacks_namespace(error):
                raise CallNotFound(workflow_id) from error
            if error.status in _AWAY or error.status is RPCStatusCode.NOT_FOUND:
                raise DependencyUnavailable("temporal", str(error)) from error
            raise
        except TimeoutError as error:
            raise DependencyUnavailable("temporal", f"no answer within {limit_s} s") from error


def _refused(error: WorkflowUpdateFailedError) -> ControlPlaneError:
    """What the workflow's validator, or its handler, said."""
    cause = error.cause
    if isinstance(cause, ApplicationError):
        if cause.type == ERRORS.busy:
            return CallBusy(cause.message)
        if cause.type == ERRORS.not_live:
            return CallNotLive(cause.message)
    return CallNotLive("the call could not do it: " + (str(cause) or type(cause).__name__))


def _lacks_namespace(error: RPCError) -> bool:
    """The namespace is what was not found: then nothing is known about any call."""
    return any(detail.type_url.endswith("NamespaceNotFoundFailure") for detail in error.grpc_status.details)
