"""HTTP functions for agents, with every way to fail that a caller of them must survive.

Any path is a function: `/book_table`. It answers what `answers` holds for its name, or echoes what it was
given; `faults` says how it misbehaves. What came in is in `requests`, bodies as they were.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Fault:
    """How a function misbehaves.

    Attributes:
        delay_ms: before anything is answered.
        status: instead of 200.
        size: bytes of body, all told by Content-Length unless `chunked`.
        chunked: the length is not told.
        drip_ms: between single bytes of the body.
        redirect: where to, with 307.
        content_type: instead of application/json.
        encoding: Content-Encoding to claim.
        cut: close the connection without an answer.
        body: sent as it is.
    """

    delay_ms: int = 0
    status: int = 200
    size: int = 0
    chunked: bool = False
    drip_ms: int = 0
    redirect: str = ""
    content_type: str = "application/json"
    encoding: str = ""
    cut: bool = False
    body: str | None = None


@dataclass(frozen=True)
class Asked:
    """One request."""

    name: str
    method: str
    target: str  # path and query
    headers: dict[str, str]
    body: bytes


@dataclass
class ToolServer:
    """Started by `running`; `url` is its base."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    requests: list[Asked] = field(default_factory=list)
    cut_off: int = 0  # requests whose client went away before the answer
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def of(self, name: str) -> list[Asked]:
        """The requests of one function."""
        return [asked for asked in self.requests if asked.name == name]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.path.strip("/")
        body = await request.read()
        self.requests.append(Asked(name, request.method, request.path_qs, dict(request.headers), body))
        self.arrived.set()
        fault = self.faults.get(name, Fault())
        try:
            await asyncio.sleep(fault.delay_ms / 1000)
            return await self._answer(request, name, body, fault)
        except (asyncio.CancelledError, ConnectionResetError):
            self.cut_off += 1
            raise

    async def _answer(self, request: web.Request, name: str, body: bytes, fault: Fault) -> web.StreamResponse:
        if fault.cut:
            assert request.transport is not None, "a request that is handled has a connection"
            request.transport.abort()
        if fault.redirect:
            raise web.HTTPTemporaryRedirect(fault.redirect)
        content = self._content(name, body, fault)
        headers = {"Content-Type": fault.content_type}
        if fault.encoding:
            headers["Content-Encoding"] = fault.encoding
        response = web.StreamResponse(status=fault.status, headers=headers)
        if fault.chunked or fault.drip_ms:
            response.enable_chunked_encoding()
        else:
            response.content_length = len(content)
        await response.prepare(request)
        step = 1 if fault.drip_ms else 65_536
        for start in range(0, len(content), step):
            await response.write(content[start : start + step])
            await asyncio.sleep(fault.drip_ms / 1000)
        await response.write_eof()
        return response

    def _content(self, name: str, body: bytes, fault: Fault) -> bytes:
        if fault.body is not None:
            return fault.body.encode()
        if fault.size:
            return b'{"output":"' + b"x" * fault.size + b'"}'
        echo = {"output": body.decode("utf-8", "replace")}
        return json.dumps(self.answers.get(name, echo)).encode()


@asynccontextmanager
async def running(
    host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[ToolServer]:
    """A tool server on a free port."""
    server = ToolServer()
    app = web.Application()
    app.router.add_route("*", "/{name:.*}", server.handle)
    runner = web.AppRunner(app, handle_signals=False, handler_cancellation=True, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, host, port, ssl_context=tls)
    await site.start()
    bound = runner.addresses[0][1]
    server.url = f"{'https' if tls else 'http'}://{host}:{bound}"
    try:
        yield server
    finally:
        await runner.cleanup()
