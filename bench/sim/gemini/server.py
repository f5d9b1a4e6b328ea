"""The socket server: upgrades, refuses, and keeps the sessions.

simulator = Simulator(scenario, mode="scripted", seed=1)
await simulator.start("127.0.0.1", 0)
… simulator.port …
await simulator.stop()
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
import time
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TextIO
from urllib.parse import parse_qs, urlsplit

import orjson
from picows import (
    WSListener,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from bench.sim.gemini.connection import Connection
from bench.sim.gemini.faults import Fault, FaultBook
from bench.sim.gemini.log import SessionLog
from bench.sim.gemini.resumption import Handles
from bench.sim.gemini.scenario import Scenario
from bench.sim.gemini.session import Connection as ConnectionFacts
from bench.sim.gemini.session import Session
from bench.sim.speech.worker import SpeechWorker

Mode = Literal["speech", "scripted"]

# One or two leading slashes: google-genai joins a base URL that ends in one with a path that begins with one.
_DEVELOPER_PATH: Final = re.compile(
    r"^//?ws/google\.ai\.generativelanguage\.(v1|v1beta|v1alpha|v1beta1)"
    r"\.GenerativeService\.BidiGenerateContent(Constrained)?$"
)
_VERTEX_PATH: Final = re.compile(
    r"^//?ws/google\.cloud\.aiplatform\.(v1|v1beta1)\.LlmBidiService/BidiGenerateContent$"
)
_FINISHED_LIMIT: Final = 500  # sessions kept for the admin page after they closed
_STATUS_NAMES: Final = {429: "RESOURCE_EXHAUSTED", 503: "UNAVAILABLE", 403: "PERMISSION_DENIED"}


class Simulator:
    """All sessions of one simulated service."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        mode: Mode,
        seed: int = 0,
        cache_dir: Path | None = None,
        log_file: TextIO | None = None,
    ) -> None:
        """`cache_dir` keeps said sentences across runs (speech mode)."""
        self.mode: Final = mode
        self.faults = FaultBook()
        self.speech = SpeechWorker(cache_dir=cache_dir) if mode == "speech" else None
        self.connections: dict[str, Connection] = {}
        self._first_scenario = scenario
        self._seed = seed
        self._log_file = log_file
        self._count = 0
        self._handles = Handles()
        self._server: asyncio.Server | None = None
        self.use(scenario)

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._server is not None, "start() comes first"
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def live(self) -> list[Connection]:
        """Those whose socket is open."""
        return [connection for connection in self.connections.values() if connection.closed_ns is None]

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Serve. In speech mode the models begin to load; `ready` waits for them.

        Raises SpeechUnavailable when the demo extra is missing, OSError when the port is taken.
        """
        if self.speech is not None:
            await self.speech.start()
        extra: dict[str, Any] = {} if tls is None else {"ssl": tls}
        self._server = await ws_create_server(
            self._on_upgrade,
            host,
            port,
            enable_auto_pong=False,  # the session answers pings: late, when a fault says so
            logger_name="gemini-sim",
            **extra,
        )

    async def ready(self) -> None:
        """Wait until it can hear and speak."""
        if self.speech is not None:
            await self.speech.ready()

    async def stop(self) -> None:
        """Close every session (1001) and end."""
        if self._server is not None:
            self._server.close()
        closing = [connection.shut_down() for connection in self.live]
        await asyncio.gather(*closing)
        if self.speech is not None:
            await self.speech.close()

    def use(self, scenario: Scenario) -> None:
        """Sessions opened from now on follow this scenario; its faults are armed."""
        self.scenario = scenario
        for fault in scenario.faults:
            self.faults.arm(fault)

    def reset(self) -> None:
        """Forget finished sessions and faults; go back to the scenario of the start."""
        self.connections = {connection.session.id: connection for connection in self.live}
        self._handles.forget_ended()
        self.faults.disarm()
        self.use(self._first_scenario)

    def arm(self, fault: Fault) -> None:
        """Arm a fault: "next" for one to come, an id for that open one, "all" for all open and to come.

        Raises KeyError for an id that isn't open.
        """
        if fault.session not in ("next", "all"):
            connection = self.connections[fault.session]
            if connection.closed_ns is not None:
                raise KeyError(fault.session)
            connection.step(partial(connection.session.arm, fault))
            return
        self.faults.arm(fault)
        if fault.session == "all":
            for connection in self.live:
                connection.step(partial(connection.session.arm, fault))

    def _on_upgrade(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener | None:
        url = urlsplit("http://host/" + request.path.decode("latin-1")[1:])
        path = request.path.decode("latin-1").partition("?")[0]
        developer, vertex = _DEVELOPER_PATH.match(path), _VERTEX_PATH.match(path)
        found = developer or vertex
        if found is None:
            return None  # 404
        self._count += 1
        session_id = f"g{self._count}"
        rng = random.Random(f"{self._seed}/{self._count}")
        struck = self.faults.strike(rng, session_id)
        refusal = next((fault for fault in struck if fault.fault == "refuse_upgrade"), None)
        if refusal is not None:
            return _refuse(int(refusal.value("status")))
        if self.scenario.limits.sessions is not None and len(self.live) >= self.scenario.limits.sessions:
            return _refuse(429)
        query = parse_qs(url.query)
        authorization = request.headers.get("Authorization", "")
        key = (
            request.headers.get("x-goog-api-key")
            or next(iter(query.get("key", []) + query.get("access_token", [])), None)
            or authorization.partition(" ")[2].strip()
            or None
        )
        session = Session(
            session_id,
            ConnectionFacts(found[1], vertex is not None, key),
            self.scenario,
            self._handles,
            struck,
            rng,
            time.monotonic_ns(),
            listens=self.mode == "speech",
        )
        log = SessionLog(session_id, self._log_file)
        connection = Connection(session, log, self.speech, self._on_gone)
        self.connections[session_id] = connection
        return connection

    def _on_gone(self, connection: Connection) -> None:
        finished = [key for key, other in self.connections.items() if other.closed_ns is not None]
        for key in finished[: len(finished) - _FINISHED_LIMIT]:
            del self.connections[key]


def _refuse(status: int) -> WSUpgradeResponseWithListener:
    message = "Resource has been exhausted (e.g. check quota)." if status == 429 else "Refused."
    error = {"code": status, "message": message, "status": _STATUS_NAMES.get(status, "UNKNOWN")}
    response = WSUpgradeResponse.create_error_response(
        status, orjson.dumps({"error": error}), {"Content-Type": "application/json"}
    )
    return WSUpgradeResponseWithListener(response, None)
