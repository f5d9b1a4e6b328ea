"""A customer of Twilio for tests: webhooks and a media server, both real; they record what they get."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)
from twilio.request_validator import RequestValidator


@dataclass
class Webhook:
    """One request as it came in."""

    path: str
    url: str
    params: dict[str, str]
    signature: str
    valid: bool  # its signature, by twilio's own validator


class Connection(WSListener):
    """One stream, from the media server's side."""

    def __init__(self, request: WSUpgradeRequest, server: Customer) -> None:
        self.path = request.path.decode()
        self.headers = request.headers
        self.messages: list[dict[str, Any]] = []
        self.closed = asyncio.Event()
        self.transport: WSTransport | None = None
        self._server = server
        self._changed = asyncio.Condition()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self._server.connections.append(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
            return
        assert frame.msg_type == WSMsgType.TEXT
        message = json.loads(frame.get_payload_as_bytes())
        self.messages.append(message)
        self._server.on_message(self, message)
        self._server.wake()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.closed.set()
        self._server.wake()

    @property
    def stream_sid(self) -> str:
        return str(self.messages[1]["start"]["streamSid"])

    def of(self, event: str) -> list[dict[str, Any]]:
        """Messages of one kind, in order."""
        return [message for message in self.messages if message["event"] == event]

    def heard(self) -> bytes:
        """All media received, μ-law."""
        return b"".join(base64.b64decode(m["media"]["payload"]) for m in self.of("media"))

    def send(self, **message: Any) -> None:
        assert self.transport is not None
        self.transport.send(WSMsgType.TEXT, json.dumps(message).encode())

    def send_raw(self, data: bytes, kind: WSMsgType = WSMsgType.TEXT) -> None:
        assert self.transport is not None
        self.transport.send(kind, data)

    def send_audio(self, ulaw: bytes) -> None:
        payload = base64.b64encode(ulaw).decode()
        self.send(event="media", streamSid=self.stream_sid, media={"payload": payload})

    def send_mark(self, name: str) -> None:
        self.send(event="mark", streamSid=self.stream_sid, mark={"name": name})

    def send_clear(self) -> None:
        self.send(event="clear", streamSid=self.stream_sid)

    def close(self, code: WSCloseCode = WSCloseCode.OK) -> None:
        assert self.transport is not None
        self.transport.send_close(code)


def _ignore(connection: Connection, message: dict[str, Any]) -> None:
    pass


@dataclass
class Customer:
    """`twiml[path]` is what a path answers; others get 204. `on_message` gets each stream message."""

    token: str
    twiml: dict[str, str] = field(default_factory=dict)
    webhooks: list[Webhook] = field(default_factory=list)
    connections: list[Connection] = field(default_factory=list)
    on_message: Callable[[Connection, dict[str, Any]], None] = _ignore
    refuse_streams: bool = False
    url: str = ""
    ws_url: str = ""
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self._woken.set()

    async def until(self, condition: Callable[[], object], timeout_s: float = 10.0) -> None:
        """Wait until something that arrives here makes `condition` true."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self._woken.clear()
                await self._woken.wait()

    def at(self, path: str) -> list[Webhook]:
        """What a path was sent, in order of arrival."""
        return [hook for hook in self.webhooks if hook.path == path]

    def statuses(self, path: str = "/status") -> list[str]:
        return [hook.params["CallStatus"] for hook in self.at(path)]

    async def handle(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        url = f"{self.url}{request.raw_path}"
        signature = request.headers.get("X-Twilio-Signature", "")
        valid = bool(RequestValidator(self.token).validate(url, form, signature))
        params = {**request.query, **form}
        self.webhooks.append(Webhook(request.path, url, params, signature, valid))
        self.wake()
        if request.path in self.twiml:
            return web.Response(text=self.twiml[request.path], content_type="text/xml")
        return web.Response(status=204)


@asynccontextmanager
async def customer(token: str) -> AsyncIterator[Customer]:
    """Both servers, on free ports."""
    it = Customer(token)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", it.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    it.url = f"http://127.0.0.1:{runner.addresses[0][1]}"

    def accept(request: WSUpgradeRequest) -> WSListener | None:
        return None if it.refuse_streams else Connection(request, it)

    server = await ws_create_server(accept, "127.0.0.1", 0)
    it.ws_url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield it
    finally:
        server.close()
        await runner.cleanup()
