"""The admin HTTP side; docs/seams.md lists the calls."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from bench.sim.gemini import scenario
from bench.sim.gemini.connection import Connection
from bench.sim.gemini.errors import ScenarioError
from bench.sim.gemini.faults import parse_fault
from bench.sim.gemini.server import Simulator


def build(simulator: Simulator) -> web.Application:
    """The admin application of a simulator."""
    admin = _Admin(simulator)
    app = web.Application(client_max_size=2**20)
    app.add_routes(
        [
            web.get("/health", admin.health),
            web.get("/sessions", admin.sessions),
            web.get("/sessions/{id}/log", admin.log),
            web.get("/faults", admin.list_faults),
            web.post("/faults", admin.arm),
            web.delete("/faults", admin.disarm),
            web.post("/scenario", admin.use_scenario),
            web.post("/reset", admin.reset),
        ]
    )
    return app


class _Admin:
    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def health(self, _: web.Request) -> web.Response:
        speech = self._simulator.speech is not None
        return _json({"ok": True, "speech": speech, "sessions": len(self._simulator.live)})

    async def sessions(self, _: web.Request) -> web.Response:
        return _json([_describe(connection) for connection in self._simulator.connections.values()])

    async def log(self, request: web.Request) -> web.Response:
        connection = self._simulator.connections.get(request.match_info["id"])
        if connection is None:
            return _error(404, f"no session {request.match_info['id']}")
        return _json(connection.log.lines())

    async def list_faults(self, _: web.Request) -> web.Response:
        armed = self._simulator.faults.armed
        return _json([fault.model_dump(exclude_none=True) for fault in armed])

    async def arm(self, request: web.Request) -> web.Response:
        try:
            self._simulator.arm(parse_fault(orjson.loads(await request.read())))
        except orjson.JSONDecodeError as error:
            return _error(400, f"not JSON: {error}")
        except ScenarioError as error:
            return _error(422, str(error))
        except KeyError as error:
            return _error(404, f"no open session {error.args[0]}")
        return web.Response(status=204)

    async def disarm(self, _: web.Request) -> web.Response:
        self._simulator.faults.disarm()
        return web.Response(status=204)

    async def use_scenario(self, request: web.Request) -> web.Response:
        try:
            self._simulator.use(scenario.parse(await request.text()))
        except ScenarioError as error:
            return _error(422, str(error))
        return web.Response(status=204)

    async def reset(self, _: web.Request) -> web.Response:
        self._simulator.reset()
        return web.Response(status=204)


def _describe(connection: Connection) -> dict[str, Any]:
    return {
        "id": connection.session.id,
        "opened_ns": connection.opened_ns,
        "closed_ns": connection.closed_ns,
        "setup": connection.session.setup_body,
        "state": connection.session.state,
        "close_code": connection.close_code,
        "log_dropped": connection.log.dropped,
    }


def _json(body: object) -> web.Response:
    return web.Response(body=orjson.dumps(body, default=str), content_type="application/json")


def _error(status: int, message: str) -> web.Response:
    return web.Response(status=status, body=orjson.dumps({"error": message}), content_type="application/json")
