"""The REST API: calls, and the recordings they leave. Basic auth, form bodies, Twilio's paths and errors."""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import MultiDict

from bench.sim.twilio import listing
from bench.sim.twilio.call import Call
from bench.sim.twilio.errors import ApiError
from bench.sim.twilio.recordings import mono
from bench.sim.twilio.request import Hook, parse_call_request, valid_url
from bench.sim.twilio.resource import API_VERSION
from bench.sim.twilio.world import World

_ACCOUNT = f"/{API_VERSION}/Accounts/{{account}}"
_LIVE = ("queued", "initiated", "ringing")


def rest_app(world: World) -> web.Application:
    """The application to serve on the REST port."""
    api = _Rest(world)
    app = web.Application(middlewares=[_errors_as_json])
    app.add_routes(
        [
            web.get(f"{_ACCOUNT}.json", api.account),
            web.get(f"{_ACCOUNT}/IncomingPhoneNumbers.json", api.numbers),
            web.post(f"{_ACCOUNT}/Calls.json", api.create),
            web.get(f"{_ACCOUNT}/Calls.json", api.list_calls),
            web.get(f"{_ACCOUNT}/Calls/{{sid}}.json", api.fetch),
            web.post(f"{_ACCOUNT}/Calls/{{sid}}.json", api.update),
            web.get(f"{_ACCOUNT}/Recordings/{{sid}}", api.recording),
        ]
    )
    return app


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return web.json_response(error.body(), status=error.status)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        missing = ApiError(20404, f"The requested resource {request.path} was not found")
        return web.json_response(missing.body(), status=missing.status)


class _Rest:
    def __init__(self, world: World) -> None:
        self._world = world

    async def account(self, request: web.Request) -> web.StreamResponse:
        self._authorise(request, "account")
        sid = self._world.config.account_sid
        return web.json_response(
            {"sid": sid, "status": "active", "type": "Full", "friendly_name": "simulated"}
        )

    async def numbers(self, request: web.Request) -> web.StreamResponse:
        """The one that the account has; `PhoneNumber` filters, by its whole length."""
        self._authorise(request, "numbers")
        config = self._world.config
        shown = request.query.get("PhoneNumber", config.number) == config.number
        number = {
            "phone_number": config.number,
            "voice_url": config.voice_url,
            "capabilities": {"voice": True, "sms": False, "mms": False},
        }
        return web.json_response({"incoming_phone_numbers": [number] if shown else []})

    async def create(self, request: web.Request) -> web.StreamResponse:
        self._authorise(request, "create")
        form = await _form(request)
        wanted = parse_call_request(form, form.getall("StatusCallbackEvent", []), self._world.config.number)
        call = self._world.create(wanted)
        await self._maybe_lose(request, "create")
        return web.json_response(call.resource.body(), status=201)

    async def list_calls(self, request: web.Request) -> web.StreamResponse:
        self._authorise(request, "list")
        resources = [call.resource for call in self._world.calls.values()]
        return web.json_response(listing.page(resources, request.query, self._world.config.account_sid))

    async def fetch(self, request: web.Request) -> web.StreamResponse:
        self._authorise(request, "fetch")
        return web.json_response(self._call(request).resource.body())

    async def update(self, request: web.Request) -> web.StreamResponse:
        self._authorise(request, "update")
        call, form = self._call(request), await _form(request)
        status, url, twiml = form.get("Status", ""), form.get("Url", ""), form.get("Twiml", "")
        if status:
            await self._end(call, status)
        elif url or twiml:
            await self._redirect(call, Hook(url, "GET" if form.get("Method") == "GET" else "POST"), twiml)
        await self._maybe_lose(request, "update")
        return web.json_response(call.resource.body())

    async def recording(self, request: web.Request) -> web.StreamResponse:
        self._authorise(request, "fetch")
        sid = request.match_info["sid"].removesuffix(".wav")
        if sid not in self._world.recordings:
            raise ApiError(20404, f"The requested resource {request.path} was not found")
        call_sid, channels = self._world.recordings[sid]
        wav = self._world.calls[call_sid].wav()
        return web.Response(body=wav if channels == "dual" else mono(wav), content_type="audio/x-wav")

    async def _end(self, call: Call, status: str) -> None:
        if status not in ("completed", "canceled"):
            raise ApiError(20001, f"Status: {status} is neither completed nor canceled.")
        now = call.resource.sequence.status
        if call.over.done() or (status == "canceled" and now not in _LIVE):
            raise ApiError(21220, f"Call is {now}, and can't be {status}.")
        call.note("hangup", by="rest")
        call.hang_up("completed" if status == "completed" else "canceled")
        await call.ended.wait()

    async def _redirect(self, call: Call, hook: Hook, twiml: str) -> None:
        if hook.url and not valid_url(hook.url):
            raise ApiError(21205, f"Url is not a valid URL: {hook.url}")
        if call.over.done() or not call.answered.is_set() or call.program is None:
            raise ApiError(21220)
        await call.program.replace(hook, "" if hook.url else twiml)

    def _call(self, request: web.Request) -> Call:
        call = self._world.calls.get(request.match_info["sid"])
        if call is None:
            raise ApiError(20404, f"The requested resource {request.path} was not found")
        return call

    def _authorise(self, request: web.Request, operation: str) -> None:
        config = self._world.config
        scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
        try:
            given = b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            given = ""
        if scheme.lower() != "basic" or given != f"{config.account_sid}:{config.auth_token}":
            raise ApiError(20003)
        if request.match_info["account"] != config.account_sid:
            raise ApiError(20404, f"The requested resource {request.path} was not found")
        if armed := self._world.faults.strike("api_error", on=operation):
            raise ApiError(int(armed["code"]))

    async def _maybe_lose(self, request: web.Request, operation: str) -> None:
        """`api_lost_response`: what was asked for is done, and nobody hears of it."""
        armed = self._world.faults.strike("api_lost_response", on=operation)
        if armed is None:
            return
        await asyncio.sleep(armed["after_ms"] / 1000)
        if request.transport is not None:
            request.transport.abort()


async def _form(request: web.Request) -> MultiDict[str]:
    """The form's text fields."""
    form = await request.post()
    return MultiDict((name, value) for name, value in form.items() if isinstance(value, str))
