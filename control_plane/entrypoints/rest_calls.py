"""`/calls` of the REST API: translates HTTP to handlers and back, nothing else."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime

from control_plane.domain import requests as rules
from control_plane.domain.calls import phone_number
from control_plane.domain.events import LAST
from control_plane.domain.listing import MAX_PAGE, MAX_TOKEN, Filters
from control_plane.entrypoints import bodies, call_bodies
from control_plane.entrypoints.line_schemas import CallPage, Done, DtmfBody, SayBody, TransferBody
from control_plane.entrypoints.problems import Responses, problems
from control_plane.entrypoints.schemas import Call, CallResult, CreatedCall, TerminatedCall
from control_plane.entrypoints.sse import EventStream
from control_plane.errors import InvalidField
from control_plane.service.use_cases import UseCases
from workflows.contracts import CallStatus

_NEW_CALL: dict[str, Any] = {
    "phone_number": "+15551234567",
    "greeting": "Hello! How can I help you today?",
    "system_prompt": "You are a helpful voice assistant. Be concise and natural.",
}
_EVENTS: Responses = {
    200: {
        "description": "Server-sent events; the last one is `ended`",
        "content": {
            "text/event-stream": {
                "schema": {
                    "type": "object",  # one event
                    "properties": {name: {"type": "string"} for name in ("event", "id", "data")},
                },
                "example": "event: status\nid: 1\n"
                'data: {"sequence":1,"type":"status","status":"initiated"}\n\n',
            }
        },
    },
    204: {"description": "Nothing comes after the end: the client need not come back"},
}
_Number = Annotated[str, AfterValidator(phone_number)]


def new_router(use: UseCases) -> APIRouter:
    router = APIRouter(prefix="/calls", tags=["calls"])

    @router.post(
        "",
        status_code=201,
        responses=problems("CONTENT_TOO_LARGE", "IDEMPOTENCY_KEY_REUSED"),
        openapi_extra=call_bodies.described(_NEW_CALL),
    )
    async def create_call(
        request: Request,
        response: Response,
        key: Annotated[
            str,
            Header(
                alias="Idempotency-Key",
                description="1 to 255 visible ASCII characters, a UUID say: for 24 hours, the same key with "
                "the same body answers with the same call",
            ),
        ] = "",
    ) -> CreatedCall:
        """Start a call; answers at once, while the phone is yet to ring."""
        try:
            rules.idempotency_key(key)
        except ValueError as error:
            raise InvalidField({"Idempotency-Key": str(error)}, where="header") from error
        call = await call_bodies.read(request)
        created = await use.calls.create(call, key)
        response.headers["Location"] = f"/calls/{created.workflow_id}"
        return CreatedCall.of(created)

    @router.get("", responses=problems())
    async def list_calls(
        status: Annotated[list[CallStatus] | None, Query(description="any of these", max_length=8)] = None,
        phone_number: Annotated[_Number | None, Query(description="E.164; + is %2B")] = None,
        agent_name: Annotated[str, Query(description="the stored agent the calls ran", max_length=64)] = "",
        created_after: Annotated[AwareDatetime | None, Query(description="inclusive")] = None,
        created_before: Annotated[AwareDatetime | None, Query(description="exclusive")] = None,
        page_size: Annotated[
            int, Query(ge=0, le=2**31 - 1, description=f"0: 50; more than {MAX_PAGE} is taken for {MAX_PAGE}")
        ] = 0,
        page_token: Annotated[
            str, Query(max_length=MAX_TOKEN, description="next_page_token of the page before, same filters")
        ] = "",
    ) -> CallPage:
        """Calls, newest first. One that was created just now may be missing for a moment."""
        try:
            agent = rules.agent_name(agent_name)
        except ValueError as error:
            raise InvalidField({"agent_name": str(error)}, where="query") from error
        filters = Filters(
            tuple(sorted(set(status or ()))), phone_number or "", created_after, created_before, agent
        )
        return CallPage.of(await use.lists.page(filters, size=page_size, token=page_token))

    @router.get("/{workflow_id}", responses=problems("CALL_NOT_FOUND"))
    async def get_call(workflow_id: str) -> Call:
        """Where the call is, and how much of it has been transcribed."""
        return Call.of(await use.views.call(workflow_id))

    @router.post(
        "/{workflow_id}/terminate",
        status_code=202,
        responses={
            **problems("CALL_NOT_FOUND"),
            200: {"model": TerminatedCall, "description": "Over already"},
        },
    )
    async def terminate_call(workflow_id: str, response: Response) -> TerminatedCall:
        """End the call; one that is over already stays as it is."""
        terminated = await use.calls.terminate(workflow_id)
        if terminated.over:
            response.status_code = 200
        return TerminatedCall.of(terminated)

    @router.get("/{workflow_id}/result", responses=problems("CALL_NOT_FOUND", "CALL_NOT_OVER"))
    async def get_call_result(workflow_id: str) -> CallResult:
        """How the call went, once it is over: who said what and when, and how fast."""
        return CallResult.of(await use.views.result(workflow_id))

    @router.get(
        "/{workflow_id}/events",
        response_class=Response,
        responses={**problems("CALL_NOT_FOUND", "EVENTS_EXPIRED"), **_EVENTS},
    )
    async def watch_call(
        workflow_id: str,
        after_sequence: Annotated[
            int, Query(ge=0, le=LAST, description="go on after this item; 0: from the beginning")
        ] = 0,
        last_event_id: Annotated[
            str, Header(alias="Last-Event-ID", description="the same, as browsers send it; it counts more")
        ] = "",
    ) -> Response:
        """What has happened in the call, and what happens, until it is over."""
        after = _sequence(last_event_id) if last_event_id else after_sequence
        items = use.watching.follow(workflow_id, after)
        try:
            first = await anext(items)
        except StopAsyncIteration:
            return Response(status_code=204)
        return EventStream(first, items)

    @router.post(
        "/{workflow_id}/say",
        status_code=202,
        responses=problems("CALL_NOT_FOUND", "CALL_NOT_LIVE", "CONTENT_TOO_LARGE"),
        openapi_extra=bodies.described(SayBody, {"text": "One moment, please.", "mode": "speak"}),
    )
    async def say(workflow_id: str, request: Request) -> Done:
        """Have the agent say something, or tell it something."""
        body = await bodies.read(SayBody, request)
        status = await use.line.send_text(workflow_id, body.text, instruct=body.mode == "instruct")
        return Done(workflow_id=workflow_id, status=status)

    @router.post(
        "/{workflow_id}/dtmf",
        status_code=202,
        responses=problems("CALL_NOT_FOUND", "CALL_NOT_LIVE", "CONTENT_TOO_LARGE"),
        openapi_extra=bodies.described(DtmfBody, {"digits": "1ww42#"}),
    )
    async def press(workflow_id: str, request: Request) -> Done:
        """Press keys: the callee's side hears the tones."""
        body = await bodies.read(DtmfBody, request)
        return Done(workflow_id=workflow_id, status=await use.line.send_dtmf(workflow_id, body.digits))

    @router.post(
        "/{workflow_id}/transfer",
        status_code=202,
        responses=problems("CALL_NOT_FOUND", "CALL_NOT_LIVE", "CONTENT_TOO_LARGE"),
        openapi_extra=bodies.described(
            TransferBody, {"to": "+15557654321", "mode": "warm", "summary": "Anna asks about her order."}
        ),
    )
    async def transfer(workflow_id: str, request: Request) -> Done:
        """Hand the callee over to a person; answers when the transfer has begun."""
        body = await bodies.read(TransferBody, request)
        return Done(workflow_id=workflow_id, status=await use.line.transfer(workflow_id, body.request()))

    return router


def _sequence(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 16 and int(text) <= LAST):
        raise InvalidField({"Last-Event-ID": "must be the id of an event of this call"}, where="header")
    return int(text)
