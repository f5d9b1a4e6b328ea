"""What Twilio asks and tells us over HTTP. Nothing is believed before its signature is verified."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

import structlog
from fastapi import APIRouter, HTTPException, Request, Response
from starlette.datastructures import ImmutableMultiDict
from twilio.request_validator import SIGNATURE_HEADER, RequestValidator
from twilio.twiml.voice_response import Connect, Stream, VoiceResponse

from control_plane import metrics
from control_plane.service.answering import stream_session
from control_plane.service.handlers import Calls
from control_plane.service.ports import Session, SessionStore
from workflows.contracts import TwilioStatus

log = structlog.get_logger(__name__)

MAX_FIELDS = 200  # Twilio sends about 40
_STATUSES = frozenset(
    ("queued", "initiated", "ringing", "in-progress", "completed", "busy", "no-answer", "failed", "canceled")
)
_TWIML: dict[int | str, dict[str, object]] = {
    200: {"content": {"text/xml": {}}, "description": "TwiML"},
    403: {"description": "Not signed by Twilio"},
}


class Unsigned(HTTPException):
    """A request that Twilio did not sign with our token for our address."""

    def __init__(self) -> None:
        super().__init__(403, "not signed by Twilio")


def new_router(
    calls: Calls, sessions: SessionStore, *, base_url: str, auth_token: str, twiml_wait_s: float
) -> APIRouter:
    """The webhooks.

    Args:
        base_url: as Twilio sees us; signatures cover it. Host headers, which anyone may set, are not asked.
        auth_token: the account's; empty: every request is refused.
        twiml_wait_s: how long a caller waits in silence for a media leg that is still being prepared.
    """
    router = APIRouter(prefix="/twilio", tags=["twilio"])
    validator = RequestValidator(auth_token)

    async def signed_form(request: Request, hook: str) -> Mapping[str, str]:
        """The form's fields, once the signature over them has been verified (the last of repeated ones)."""
        fields = _parse(await request.body())
        raw_path = request.scope.get("raw_path", request.url.path.encode()).partition(b"?")[0]
        url = base_url + raw_path.decode("latin-1")
        if request.url.query:
            url += f"?{request.url.query}"
        signature = request.headers.get(SIGNATURE_HEADER, "")
        # With no token, the key of the signature would be empty, which is to say public.
        if not auth_token or not signature or not validator.validate(url, fields, signature):
            metrics.WEBHOOKS_REJECTED.labels(hook, "signature").inc()
            log.warning("webhook refused: bad signature", hook=hook, url=url)
            raise Unsigned
        return fields

    @router.post("/twiml/{workflow_id}", response_class=Response, responses=_TWIML)
    async def twiml(workflow_id: str, request: Request, after: str = "") -> Response:
        """What to do with this call: stream it to its media node; hang up when it is over."""
        form = await signed_form(request, "twiml")
        if after == "stream":
            # The media leg has ended, by either side: there is nothing left to say.
            return _hang_up()
        if form.get("CallSid"):
            await calls.note_call_sid(workflow_id, form["CallSid"])
        session = await stream_session(sessions, workflow_id, twiml_wait_s)
        if session is None:
            log.info("hanging up", workflow_id=workflow_id, call_sid=form.get("CallSid", ""))
            return _hang_up()
        return _connect(session, base_url)

    @router.post("/status/{workflow_id}", status_code=204, response_class=Response)
    async def status(workflow_id: str, request: Request) -> Response:
        """Twilio tells how the call gets on."""
        form = await signed_form(request, "status")
        try:
            told = parse_status(form)
        except ValueError as error:
            metrics.WEBHOOKS_REJECTED.labels("status", "fields").inc()
            log.warning("status callback refused", workflow_id=workflow_id, error=str(error))
            raise HTTPException(400, str(error)) from error
        if not await calls.twilio_status(workflow_id, told):
            # Late news of a call that is over, as usual; or of one we never made.
            log.info("status callback for no running call", workflow_id=workflow_id, status=told.status)
        return Response(status_code=204)

    return router


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
        sequence=_number(form, "SequenceNumber") or 0,
        timestamp=form.get("Timestamp", ""),
        duration_seconds=_number(form, "CallDuration"),
        sip_code=_number(form, "SipResponseCode"),
        error=" ".join(filter(None, (form.get("ErrorCode", ""), form.get("ErrorMessage", "")))),
    )


def _number(form: Mapping[str, str], name: str) -> int | None:
    text = form.get(name, "")
    if not text:  # absent, or one of Twilio's empty fields
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValueError(f"{name} is {text[:20]!r}, not a whole number")
    return int(text)


def _parse(body: bytes) -> ImmutableMultiDict[str, str]:
    """Fields of a URL-encoded form; none when it is not one, and then no signature fits."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        pairs = []
    return ImmutableMultiDict(pairs)


def _connect(session: Session, base_url: str) -> Response:
    """Stream straight to the node that holds the call's model session; the URL carries the one-time token."""
    stream = Stream(url=session.stream_url)
    stream.parameter(name="workflow_id", value=session.workflow_id)
    connect = Connect(action=f"{base_url}/twilio/twiml/{session.workflow_id}?after=stream", method="POST")
    connect.append(stream)
    response = VoiceResponse()
    response.append(connect)
    return _xml(response, "connect")


def _hang_up() -> Response:
    response = VoiceResponse()
    response.hangup()
    return _xml(response, "hangup")


def _xml(response: VoiceResponse, verb: str) -> Response:
    metrics.TWIML.labels(verb).inc()
    return Response(str(response), media_type="text/xml")
