"""What Twilio asks and tells about machines that answer and people that calls are handed over to."""

from __future__ import annotations

import structlog
from fastapi import APIRouter, HTTPException, Request, Response

from control_plane import metrics
from control_plane.domain import twiml as documents
from control_plane.domain.calls import is_workflow_id
from control_plane.domain.twiml import Hooks
from control_plane.entrypoints.twilio_requests import TwilioRequests
from control_plane.entrypoints.twilio_webhooks import answer, number
from control_plane.errors import CallNotFound
from control_plane.service.answering import stream_session
from control_plane.service.ports import Orchestrator, SessionStore
from workflows.contracts import MachineDetected, TransferLeg

log = structlog.get_logger(__name__)

ANSWERED_BY = frozenset(
    (
        *("human", "unknown", "fax", "machine_start"),
        *("machine_end_beep", "machine_end_silence", "machine_end_other"),
    )
)
AFTER_TRANSFERS = 1000  # numbers of streams that come back: beyond those that keys have
TAKES = "1"  # the key by which a person takes the call
_NOT_REACHED = frozenset(("busy", "no-answer", "failed", "canceled"))


def new_router(
    orchestrator: Orchestrator,
    sessions: SessionStore,
    requests: TwilioRequests,
    *,
    base_url: str,
    twiml_wait_s: float,
) -> APIRouter:
    """Arguments as of `twilio_webhooks.new_router`."""
    router = APIRouter(tags=["twilio"])  # included by the one that has the prefix

    async def tell(workflow_id: str, told: TransferLeg) -> bool:
        """False: no such call runs."""
        if not is_workflow_id(workflow_id):
            return False
        try:
            await orchestrator.transfer_leg(workflow_id, told)
        except CallNotFound:
            log.info("news of a transfer for no running call", workflow_id=workflow_id, news=told.news)
            return False
        return True

    @router.post("/machine/{workflow_id}", status_code=204, response_class=Response)
    async def machine(workflow_id: str, request: Request) -> Response:
        """Twilio's detection has a verdict; it may come when the call is over."""
        form = await requests.form(request, "machine")
        call_sid, who = form.get("CallSid", ""), form.get("AnsweredBy", "")
        try:
            after_ms = number(form, "MachineDetectionDuration") or 0
        except ValueError:
            after_ms = 0
        if not call_sid or who not in ANSWERED_BY:
            metrics.WEBHOOKS_REJECTED.labels("machine", "fields").inc()
            raise HTTPException(
                400, f"CallSid is missing, or AnsweredBy is {who[:30]!r}, which is no verdict"
            )
        if await requests.told_before(form, "machine") or not is_workflow_id(workflow_id):
            return Response(status_code=204)
        try:
            await orchestrator.machine_detected(workflow_id, MachineDetected(call_sid, who, after_ms))
        except CallNotFound:
            log.info("a verdict for no running call", workflow_id=workflow_id, answered_by=who)
        await requests.told(form, "machine")
        return Response(status_code=204)

    @router.post("/transfer/{workflow_id}/{transfer}/dialed", response_class=Response)
    async def dialed(workflow_id: str, transfer: int, request: Request) -> Response:
        """A cold transfer is over: the two have talked, or the caller goes back to the agent."""
        form = await requests.form(request, "dialed")
        await requests.asked(form, "dialed")
        status = form.get("DialCallStatus", "")
        if status not in _NOT_REACHED:
            # Should the news that they talk have been lost: the call is over either way.
            await tell(workflow_id, TransferLeg(transfer, "answered", form.get("DialCallSid", "")))
            return answer(documents.hang_up(), "hangup")
        await tell(workflow_id, TransferLeg(transfer, "over", form.get("DialCallSid", ""), status))
        session = await stream_session(sessions, workflow_id, twiml_wait_s)
        if session is None:
            return answer(documents.hang_up(), "hangup")
        hooks = Hooks(base_url, workflow_id)
        stream = AFTER_TRANSFERS + transfer
        return answer(documents.connect(hooks, session.stream_url, stream), "connect")

    @router.post("/transfer/{workflow_id}/{transfer}/leg", status_code=204, response_class=Response)
    async def leg(workflow_id: str, transfer: int, request: Request) -> Response:
        """How the person's telephone gets on."""
        form = await requests.form(request, "leg")
        if await requests.told_before(form, "leg"):
            return Response(status_code=204)
        status, call_sid = form.get("CallStatus", ""), form.get("CallSid", "")
        if status in ("in-progress", "answered"):
            await tell(workflow_id, TransferLeg(transfer, "answered", call_sid))
        elif status in _NOT_REACHED or status == "completed":
            await tell(workflow_id, TransferLeg(transfer, "over", call_sid, status))
        await requests.told(form, "leg")
        return Response(status_code=204)

    @router.post("/transfer/{workflow_id}/{transfer}/pressed", response_class=Response)
    async def pressed(workflow_id: str, transfer: int, request: Request) -> Response:
        """The person of a warm transfer has heard what it is about."""
        form = await requests.form(request, "pressed")
        await requests.asked(form, "pressed")
        accepted = form.get("Digits", "") == TAKES
        told = TransferLeg(transfer, "accepted" if accepted else "over", form.get("CallSid", ""), "completed")
        if not await tell(workflow_id, told) or not accepted:
            return answer(documents.hang_up(), "hangup")
        return answer(documents.conference(f"{workflow_id}-{transfer}"), "dial")

    return router
