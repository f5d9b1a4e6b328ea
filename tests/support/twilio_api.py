"""Twilio's REST API for calls on a real socket, small enough to misbehave on purpose.

It knows what the worker uses: create, list, update. `failures` holds what the next creations do instead of
answering 201; calls placed are in `calls` whether or not the caller ever learnt of them.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from aiohttp import web

ACCOUNT_SID = "AC" + "0" * 32
AUTH_TOKEN = "secret"
NUMBER = "+15005550006"


@dataclass
class Failure:
    """One creation that goes wrong.

    Attributes:
        place: whether Twilio places the call all the same.
        status: HTTP status to answer with; 0: cut the connection; -1: never answer.
        code: Twilio's error code in the body; 0: a body that is no JSON.
        rfc9457: the newer form of error bodies.
        retry_after: the header of that name, if any.
    """

    place: bool = False
    status: int = 0
    code: int = 0
    rfc9457: bool = False
    retry_after: str = ""


@dataclass
class Call:
    sid: str
    to: str
    params: dict[str, list[str]]
    created: datetime
    status: str = "queued"
    queue_ms: int = 0


@dataclass
class TwilioApi:
    calls: dict[str, Call] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)  # "POST Calls", "GET Calls", "POST CA…"
    failures: list[Failure] = field(default_factory=list)
    list_failures: int = 0  # so many list requests answer 503 first
    queue_ms: int = 0  # what creations say of Twilio's queue
    on_placed: Callable[[Call], Any] | None = None
    on_ended: Callable[[Call], Any] | None = None
    base_url: str = ""

    def placed(self, to: str) -> list[Call]:
        return [call for call in self.calls.values() if call.to == to]

    async def create(self, request: web.Request) -> web.StreamResponse:
        self.requests.append("POST Calls")
        form = await request.post()
        failure = self.failures.pop(0) if self.failures else None
        if failure is None or failure.place:
            sid = "CA" + uuid.uuid4().hex
            params = {key: [str(value) for value in form.getall(key)] for key in form}
            call = Call(sid, params["To"][0], params, datetime.now(UTC), queue_ms=self.queue_ms)
            self.calls[sid] = call
            if self.on_placed is not None:
                self.on_placed(call)
            if failure is None:
                return web.json_response(_body(call), status=201)
        if failure.status == -1:
            await asyncio.Event().wait()
        if failure.status == 0:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return _error(failure)

    async def list(self, request: web.Request) -> web.StreamResponse:
        self.requests.append("GET Calls")
        if self.list_failures:
            self.list_failures -= 1
            return _error(Failure(status=503))
        to = request.query.get("To")
        calls = [call for call in reversed(self.calls.values()) if to in (None, call.to)]
        return web.json_response({"calls": [_body(call) for call in calls], "page": 0, "page_size": 50})

    async def update(self, request: web.Request) -> web.StreamResponse:
        sid = request.match_info["sid"]
        self.requests.append(f"POST {sid}")
        form = await request.post()
        call = self.calls.get(sid)
        if call is None:
            return _error(Failure(status=404, code=20404))
        if call.status in ("completed", "canceled"):
            return _error(Failure(status=400, code=21220))
        call.status = str(form["Status"])
        if self.on_ended is not None:
            self.on_ended(call)
        return web.json_response(_body(call))


@asynccontextmanager
async def running_twilio_api() -> AsyncIterator[TwilioApi]:
    api = TwilioApi()
    app = web.Application()
    prefix = f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls"
    app.router.add_post(f"{prefix}.json", api.create)
    app.router.add_get(f"{prefix}.json", api.list)
    app.router.add_post(prefix + "/{sid}.json", api.update)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    api.base_url = f"http://{host}:{port}"
    try:
        yield api
    finally:
        await runner.cleanup()


def _body(call: Call) -> dict[str, Any]:
    created = format_datetime(call.created)
    return {
        "sid": call.sid,
        "account_sid": ACCOUNT_SID,
        "to": call.to,
        "from": call.params["From"][0],
        "status": call.status,
        "direction": "outbound-api",
        "date_created": created,
        "date_updated": created,
        "start_time": None,
        "end_time": None,
        "duration": None,
        "api_version": "2010-04-01",
        "queue_time": str(call.queue_ms),
        "uri": f"/2010-04-01/Accounts/{ACCOUNT_SID}/Calls/{call.sid}.json",
        "subresource_uris": {},
    }


def _error(failure: Failure) -> web.Response:
    if not failure.code:
        return web.Response(status=failure.status, text="<html>upstream trouble</html>")
    body: dict[str, Any] = {
        "code": failure.code,
        "message": f"message of {failure.code}",
        "more_info": f"https://www.twilio.com/docs/errors/{failure.code}",
        "status": failure.status,
    }
    if failure.rfc9457:
        body |= {"type": body["more_info"], "title": body.pop("message")}
    headers = {"Retry-After": failure.retry_after} if failure.retry_after else None
    return web.json_response(body, status=failure.status, headers=headers)
