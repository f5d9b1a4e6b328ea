"""The admin port: personas, faults, and a view into every call (docs/seams.md)."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from bench.sim.twilio.call import Call
from bench.sim.twilio.faults import FaultError
from bench.sim.twilio.persona import KEYS, PersonaError, parse_persona
from bench.sim.twilio.request import valid_number
from bench.sim.twilio.voice import AudioError
from bench.sim.twilio.world import World


def admin_app(world: World) -> web.Application:
    """The application to serve on the admin port. Bad input is 422 with `{"error": …}`."""
    admin = _Admin(world)
    app = web.Application(middlewares=[_errors_as_json])
    app.add_routes(
        [
            web.get("/health", admin.health),
            web.put("/numbers/{number}", admin.put_persona),
            web.get("/calls", admin.calls),
            web.post("/calls", admin.receive),
            web.get("/calls/{sid}", admin.call),
            web.get("/calls/{sid}/timeline", admin.timeline),
            web.get("/calls/{sid}/recording.wav", admin.recording),
            web.post("/calls/{sid}/dtmf", admin.dtmf),
            web.post("/calls/{sid}/hangup", admin.hangup),
            web.post("/calls/{sid}/say", admin.say),
            web.get("/faults", admin.faults),
            web.post("/faults", admin.arm),
            web.delete("/faults", admin.disarm),
            web.post("/reset", admin.reset),
        ]
    )
    return app


class _Conflict(Exception):
    """The call isn't in a state for what is asked."""


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (PersonaError, AudioError, FaultError) as error:
        return web.json_response({"error": str(error)}, status=422)
    except json.JSONDecodeError as error:
        return web.json_response({"error": f"not JSON: {error}"}, status=422)
    except _Conflict as error:
        return web.json_response({"error": str(error)}, status=409)


class _Admin:
    def __init__(self, world: World) -> None:
        self._world = world

    async def health(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"ok": True, "calls": len(self._world.live())})

    async def put_persona(self, request: web.Request) -> web.StreamResponse:
        number = request.match_info["number"]
        if not valid_number(number):
            raise PersonaError(f"number: {number!r} is not E.164")
        persona = parse_persona(await request.json())
        await self._world.voice.prepare(persona)  # files are found and texts spoken now, not while it rings
        self._world.personas[number] = persona
        return web.Response(status=204)

    async def calls(self, request: web.Request) -> web.StreamResponse:
        return web.json_response([call.shown() for call in self._world.calls.values()])

    async def receive(self, request: web.Request) -> web.StreamResponse:
        data = await request.json()
        if not isinstance(data, dict) or not {"from", "to"} <= data.keys():
            raise PersonaError("an inbound call needs from and to")
        for name in ("from", "to"):
            if not isinstance(data[name], str) or not valid_number(data[name]):
                raise PersonaError(f"{name}: {data[name]!r} is not E.164")
        if not self._world.config.voice_url:
            raise _Conflict("the simulator was started without --voice-url")
        persona = parse_persona(data["persona"]) if "persona" in data else None
        if persona is not None:
            await self._world.voice.prepare(persona)
        call = self._world.receive(data["from"], data["to"], persona)
        return web.json_response({"sid": call.sid}, status=201)

    async def call(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._call(request).shown())

    async def timeline(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._call(request).timeline.events())

    async def recording(self, request: web.Request) -> web.StreamResponse:
        call = self._call(request)
        if call.line is None:
            raise web.HTTPNotFound(text="the call was not answered")
        return web.Response(body=await asyncio.to_thread(call.wav), content_type="audio/wav")

    async def dtmf(self, request: web.Request) -> web.StreamResponse:
        call, data = self._answered(request), await _object(request)
        digits = data.get("digits")
        if not isinstance(digits, str) or not digits or not set(digits) <= KEYS:
            raise PersonaError("digits: 0-9, *, #, A-D and w for half a second")
        assert call.line is not None
        call.line.callee.press_now(digits)
        return web.Response(status=204)

    async def hangup(self, request: web.Request) -> web.StreamResponse:
        call = self._call(request)
        if call.over.done():
            raise _Conflict("the call is over")
        call.note("hangup", by="callee")
        call.hang_up("completed" if call.answered.is_set() else "busy")
        return web.Response(status=204)

    async def say(self, request: web.Request) -> web.StreamResponse:
        """`{"text": …}` or `{"play": "/abs/file.wav"}`. Answers when the speaking begins."""
        call, data = self._answered(request), await _object(request)
        match data:
            case {"text": str(text)}:
                ulaw = await self._world.voice.text(text)
            case {"play": str(path)}:
                ulaw = await self._world.voice.file(path)
            case _:
                raise PersonaError("say: needs text or play")
        assert call.line is not None
        call.line.callee.say_now(ulaw)
        return web.json_response({"t_ns": time.monotonic_ns(), "ms": len(ulaw) / 8})

    async def faults(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._world.faults.armed())

    async def arm(self, request: web.Request) -> web.StreamResponse:
        self._world.faults.arm(await request.json())
        return web.Response(status=204)

    async def disarm(self, request: web.Request) -> web.StreamResponse:
        self._world.faults.disarm()
        return web.Response(status=204)

    async def reset(self, request: web.Request) -> web.StreamResponse:
        world = self._world
        for sid in [call.sid for call in world.calls.values() if call.ended.is_set()]:
            world.forget(sid)
        world.personas.clear()
        world.faults.disarm()
        return web.Response(status=204)

    def _call(self, request: web.Request) -> Call:
        call = self._world.calls.get(request.match_info["sid"])
        if call is None:
            raise web.HTTPNotFound(text="no such call")
        return call

    def _answered(self, request: web.Request) -> Call:
        call = self._call(request)
        if call.line is None or call.over.done():
            raise _Conflict("the call is not in progress")
        return call


async def _object(request: web.Request) -> dict[str, Any]:
    data = await request.json()
    if not isinstance(data, dict):
        raise PersonaError("the body must be a JSON object")
    return data
