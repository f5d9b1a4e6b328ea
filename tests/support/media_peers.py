"""A media node in this process between two bare peers: a Gemini Live server and a Twilio stream, both picows.

The peers do nothing by themselves; a test says what they send and looks at what they got.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any

import grpc
import numpy as np
import numpy.typing as npt
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_connect,
    ws_create_server,
)

from media_plane.server import MediaServer
from media_plane.settings import Settings
from protos.voiceplane.media.v1 import media_pb2 as pb
from protos.voiceplane.media.v1 import media_pb2_grpc
from tests.support.eventually import eventually

TOKEN = "token-0123456789abcdef"
NOWHERE = "redis://127.0.0.1:1/0"  # a Redis that is away


class Peer(WSListener):
    """One socket's far end: every message kept with the time it came; `until` waits for what they say."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.times_ns: list[int] = []
        self.transport: WSTransport | None = None
        self.close_code: int | None = None
        self.close_reason = ""
        self._news = asyncio.Event()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            self.close_code = frame.get_close_code().value
            self.close_reason = frame.get_close_reason() or ""
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY):
            self.times_ns.append(monotonic_ns())
            self.messages.append(json.loads(frame.get_payload_as_bytes()))
            self.on_json(self.messages[-1])
        self._news.set()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self.close_code is None:
            self.close_code = 1006
        self._news.set()

    def on_json(self, message: dict[str, Any]) -> None:
        pass

    def send(self, message: object, kind: WSMsgType = WSMsgType.TEXT) -> None:
        self.send_raw(json.dumps(message, separators=(",", ":")).encode(), kind)

    def send_raw(self, data: bytes, kind: WSMsgType = WSMsgType.TEXT) -> None:
        assert self.transport is not None
        self.transport.send(kind, data)

    def close(self, code: WSCloseCode = WSCloseCode.OK, reason: str = "") -> None:
        assert self.transport is not None
        self.transport.send_close(code, reason.encode())

    def cut(self) -> None:
        """Gone without a close frame."""
        assert self.transport is not None
        self.transport.disconnect(False)

    async def until(self, condition: Callable[[], object], within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def closed(self, within_s: float = 10.0) -> int:
        await self.until(lambda: self.close_code is not None, within_s)
        assert self.close_code is not None
        return self.close_code


class Model(Peer):
    """A Gemini Live session, server side."""

    def __init__(self, server: FakeGemini, request: WSUpgradeRequest) -> None:
        super().__init__()
        self.path = request.path.decode()
        self.api_key = request.headers.get("x-goog-api-key")
        self._server = server

    def on_json(self, message: dict[str, Any]) -> None:
        if "setup" in message and self._server.answers_setup:
            self.say({"setupComplete": {}})

    def say(self, message: object) -> None:
        """As the service writes: a binary frame of pretty-printed JSON."""
        self.send_raw(json.dumps(message, indent=2).encode() + b"\n", WSMsgType.BINARY)

    def speak(self, pcm24k: npt.NDArray[np.int16], **beside: object) -> None:
        """One frame of audio, other serverContent fields beside it."""
        self.say({"serverContent": {**audio(pcm24k), **beside}})

    def content(self, **fields: object) -> None:
        self.say({"serverContent": fields})

    @property
    def heard(self) -> npt.NDArray[np.int16]:
        """All audio received, 16 kHz."""
        parts = [m["realtimeInput"]["audio"] for m in self.messages if "audio" in m.get("realtimeInput", {})]
        assert all(part["mimeType"] == "audio/pcm;rate=16000" for part in parts)
        return np.frombuffer(b"".join(base64.b64decode(part["data"]) for part in parts), np.int16)


@dataclass
class FakeGemini:
    """`refuse`: answer upgrades with this HTTP status; `answers_setup`: send setupComplete by itself."""

    sessions: list[Model] = field(default_factory=list)
    refuse: int = 0
    answers_setup: bool = True
    url: str = ""

    def accept(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener:
        if self.refuse:
            response = WSUpgradeResponse.create_error_response(self.refuse, b"no quota left")
            return WSUpgradeResponseWithListener(response, None)
        model = Model(self, request)
        self.sessions.append(model)
        return model


class Caller(Peer):
    """A Twilio media stream, Twilio's side."""

    def __init__(self) -> None:
        super().__init__()
        self.stream_sid = "MZ" + uuid.uuid4().hex
        self.call_sid = "CA" + uuid.uuid4().hex
        self._sequence = 0
        self._chunk = 0

    def start(self) -> None:
        self.send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        self.send(
            {
                "event": "start",
                "sequenceNumber": self._next(),
                "streamSid": self.stream_sid,
                "start": {
                    "accountSid": "AC" + "0" * 32,
                    "streamSid": self.stream_sid,
                    "callSid": self.call_sid,
                    "tracks": ["inbound"],
                    "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                    "customParameters": {},
                },
            }
        )

    def media(self, ulaw: bytes, **changes: object) -> None:
        self._chunk += 1
        message = {
            "event": "media",
            "sequenceNumber": self._next(),
            "streamSid": self.stream_sid,
            "media": {
                "track": "inbound",
                "chunk": str(self._chunk),
                "timestamp": str(20 * self._chunk),
                "payload": base64.b64encode(ulaw).decode(),
            },
        }
        self.send({**message, **changes})

    def event(self, event: str, **body: object) -> None:
        self.send({"event": event, "sequenceNumber": self._next(), "streamSid": self.stream_sid, event: body})

    def of(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["event"] == event]

    @property
    def heard(self) -> bytes:
        """All audio received, μ-law."""
        return b"".join(base64.b64decode(m["media"]["payload"]) for m in self.of("media"))

    def _next(self) -> str:
        self._sequence += 1
        return str(self._sequence)


@dataclass
class Plane:
    """A running node and what surrounds it."""

    server: MediaServer
    gemini: FakeGemini
    stub: media_pb2_grpc.MediaPlaneAsyncStub
    endpoints: dict[str, Any]

    async def prepare(self, workflow_id: str = "", **changes: Any) -> pb.PrepareCallResponse:
        agent = pb.AgentConfig(
            system_prompt="You answer the telephone.", greeting=changes.pop("greeting", "")
        )
        fields: dict[str, Any] = {"stream_token": TOKEN, "agent": agent} | changes
        return await self.stub.PrepareCall(
            pb.PrepareCallRequest(workflow_id=workflow_id or f"call-{uuid.uuid4()}", **fields)
        )

    async def state(self, workflow_id: str, wanted: pb.CallState) -> bool:
        """Whether the call is in this state."""
        call = await self.stub.GetCall(pb.GetCallRequest(workflow_id=workflow_id))
        return call.state == wanted

    async def dial(self, url: str) -> Caller:
        """Open a stream as Twilio does; nothing is sent yet."""
        _, caller = await ws_connect(Caller, url)
        assert isinstance(caller, Caller)
        return caller

    async def call(self, **changes: Any) -> tuple[Caller, Model, str]:
        """A live call: both far ends and its workflow id."""
        workflow_id = changes.pop("workflow_id", f"call-{uuid.uuid4()}")
        prepared = await self.prepare(workflow_id, **changes)
        caller = await self.dial(prepared.stream_url)
        caller.start()
        await eventually(lambda: self.state(workflow_id, pb.CALL_STATE_LIVE))
        return caller, self.gemini.sessions[-1], workflow_id


def audio(pcm24k: npt.NDArray[np.int16]) -> dict[str, Any]:
    data = base64.b64encode(pcm24k.astype("<i2").tobytes()).decode()
    return {
        "modelTurn": {
            "role": "model",
            "parts": [{"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": data}}],
        }
    }


def tone(hz: float, ms: int, rate: int, amplitude: float = 8000) -> npt.NDArray[np.int16]:
    times = np.arange(rate * ms // 1000) / rate
    return np.round(amplitude * np.sin(2 * np.pi * hz * times)).astype(np.int16)


@asynccontextmanager
async def fake_gemini(tls: ssl.SSLContext | None = None) -> AsyncIterator[FakeGemini]:
    gemini = FakeGemini()
    server = await ws_create_server(gemini.accept, "127.0.0.1", 0, max_frame_size=1 << 24, ssl=tls)
    gemini.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield gemini
    finally:
        server.close()
        for session in gemini.sessions:
            if session.transport is not None:
                session.transport.disconnect(False)


@asynccontextmanager
async def media_plane(redis_url: str = NOWHERE, **settings: Any) -> AsyncIterator[Plane]:
    """A node on free ports; `settings` by field name."""
    async with fake_gemini() as gemini:
        fields: dict[str, Any] = {
            "_env_file": None,
            "redis_url": redis_url,
            "gemini_base_url": gemini.url,
            "gemini_api_key": "a-key",
            "gemini_pool_max": 0,  # a model's socket is a call's
            "media_node_id": f"node-{uuid.uuid4().hex[:8]}",
            "media_ws_port": 0,
            "media_grpc_port": 0,
            "media_metrics_port": 0,
        }
        server = MediaServer(Settings(**fields | settings))
        endpoints = await server.start()
        async with grpc.aio.insecure_channel(str(endpoints["media_grpc"])) as channel:
            yield Plane(server, gemini, media_pb2_grpc.MediaPlaneStub(channel), endpoints)  # type: ignore[arg-type]
            await server.stop(0.0, flush_s=0.0 if redis_url == NOWHERE else 3.0)
