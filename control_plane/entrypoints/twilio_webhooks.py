"""What Twilio asks and tells us over HTTP. Nothing is believed before its signature is verified."""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from fastapi import APIRouter, HTTPException, Request, Response

from control_plane import metrics
from control_plane.domain import twiml as documents
from control_plane.domain.twiml import Hooks
from control_plane.entrypoints.twilio_requests import Form, TwilioRequests
from control_plane.errors import DependencyUnavailable
from control_plane.service.answering import stream_session
from control_plane.service.handlers import Calls
from control_plane.service.inbound import Inbound
from control_plane.service.inbound import workflow_id as inbound_id
from control_plane.service.ports import SessionStore
from workflows.contracts import TwilioStatus

log = structlog.get_logger(__name__)

_STATUSES = frozenset(
    ("queued", "initiated", "ringing", "in-progress", "completed", "busy", "no-answer", "failed", "canceled")
)
_TWIML: dict[int | str, dict[str, object]] = {
    200: {"content": {"text/xml": {}}, "description": "TwiML"},
    403: {"description": "Not signed by Twilio, or answered before"},
}


def new_router(
    calls: Calls,
    inbound: Inbound,
    sessions: SessionStore,
    requests: TwilioRequests,
    *,
    base_url: str,
    twiml_wait_s: float,
) -> APIRouter:
    """The webhooks of calls; those of transfers are elsewhere.

    Args:
        base_url: as Twilio sees us.
        twiml_wait_s: how long a caller waits in silence for a media leg that is still being prepared.
    """
    router = APIRouter(prefix="/twilio", tags=["twilio"])

    @router.post("/twiml/{workflow_id}", response_class=Response, responses=_TWIML)
    async def twiml(workflow_id: str, request: Request, after: str = "") -> Response:
        """What to do with this call: stream it to its media node; hang up when it is over."""
        form = await requests.form(request, "twiml")
        if after == "stream":
            # The media leg has ended, by either side: there is nothing left to say.
            return answer(documents.hang_up(), "hangup")
        await requests.asked(form, "twiml")
        if form.get("CallSid"):
            await calls.note_call_sid(workflow_id, form["CallSid"])
        session = await stream_session(sessions, workflow_id, twiml_wait_s)
        if session is None:
            log.info("hanging up", workflow_id=workflow_id, call_sid=form.get("CallSid", ""))
            return answer(documents.hang_up(), "hangup")
        return answer(documents.connect(Hooks(base_url, workflow_id), session.stream_url), "connect")

    @router.post("/voice", response_class=Response, responses=_TWIML)
    async def voice(request: Request) -> Response:
        """Somebody calls one of our numbers; they hear it ring until the model's session is open."""
        form = await requests.form(request, "voice")
        await requests.asked(form, "voice")
        call_sid, called = form.get("CallSid", ""), form.get("To", "")
        if not call_sid or not called:
            metrics.WEBHOOKS_REJECTED.labels("voice", "fields").inc()
            raise HTTPException(400, "CallSid or To is missing")
        try:
            workflow_id = await inbound.receive(call_sid, form.get("From", ""), called)
        except DependencyUnavailable as error:
            # A busy tone now is better than an error's announcement after 15 s.
            metrics.INBOUND.labels(error.dependency).inc()
            log.error("an inbound call is turned away", call_sid=call_sid, error=str(error))
            return answer(documents.reject("busy"), "reject")
        if workflow_id is None:
            return answer(documents.reject("rejected"), "reject")
        session = await stream_session(sessions, workflow_id, twiml_wait_s)
        if session is None:
            log.warning("an inbound call has no media leg", workflow_id=workflow_id, call_sid=call_sid)
            return answer(documents.reject("busy"), "reject")
        return answer(documents.connect(Hooks(base_url, workflow_id), session.stream_url), "connect")

    @router.post("/voice/status", status_code=204, response_class=Response)
    async def voice_status(request: Request) -> Response:
        """Twilio tells that an inbound call is over, if the number is set up so."""
        form = await requests.form(request, "voice_status")
        await _tell_status(requests, calls, inbound_id(form.get("CallSid", "")), form, "voice_status")
        return Response(status_code=204)

    @router.post("/status/{workflow_id}", status_code=204, response_class=Response)
    async def status(workflow_id: str, request: Request) -> Response:
        """Twilio tells how the call gets on."""
        form = await requests.form(request, "status")
        await _tell_status(requests, calls, workflow_id, form, "status")
        return Response(status_code=204)

    return router


async def _tell_status(
    requests: TwilioRequests, calls: Calls, workflow_id: str, form: Form, hook: str
) -> None:
    """Raises HTTPException 400, DependencyUnavailable."""
    try:
        told = parse_status(form)
    except ValueError as error:
        metrics.WEBHOOKS_REJECTED.labels(hook, "fields").inc()
        log.warning("status callback refused", workflow_id=workflow_id, error=str(error))
        raise HTTPException(400, str(error)) from error
    if await requests.told_before(form, hook):
        return
    if not await calls.twilio_status(workflow_id, told):
        # Late news of a call that is over, as usual; or of one we never made.
        log.info("status callback for no running call", workflow_id=workflow_id, status=told.status)
    await requests.told(form, hook)


def parse_status(form: Mapping[str, str]) -> TwilioStatus:
    """A status callback's fields.

    Raises:
        ValueError: a field is missing or is not what Twilio's documentation says; names it.
    """
    call_sid, status = form.get("CallSid", ""), form.get("CallStatus", "")
    if not call_sid:
        raise ValueError("CallSid is missing")
    if status not in _STATUSES:
        raise ValueError(f"CallStatus is {status!r}, which is no status of a call")
    return TwilioStatus(
        call_sid=call_sid,
        status=status,
        sequence=number(form, "SequenceNumber") or 0,
        timestamp=form.get("Timestamp", ""),
        duration_seconds=number(form, "CallDuration"),
        sip_code=number(form, "SipResponseCode"),
        error=" ".join(filter(None, (form.get("ErrorCode", ""), form.get("ErrorMessage", "")))),
    )


def number(form: Mapping[str, str], name: str) -> int | None:
    """Raises ValueError."""
    text = form.get(name, "")
    if not text:  # absent, or one of Twilio's empty fields
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValueError(f"{name} is {text[:20]!r}, not a whole number")
    return int(text)


def answer(document: str, verb: str) -> Response:
    metrics.TWIML.labels(verb).inc()
    return Response(document, media_type="text/xml")
