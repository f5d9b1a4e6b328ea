"""`python -m media_plane` as a process, and a call on it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from picows import ws_connect

from protos.voiceplane.media.v1 import media_pb2 as pb
from protos.voiceplane.media.v1 import media_pb2_grpc
from tests.support.media_peers import NOWHERE, TOKEN, Caller

# No setting of the developer's, no Redis, any free ports.
ENVIRONMENT = {
    "REDIS_URL": NOWHERE,
    "GEMINI_API_KEY": "k",
    "MEDIA_WS_PORT": "0",
    "MEDIA_GRPC_PORT": "0",
    "MEDIA_METRICS_PORT": "0",
    "GEMINI_POOL_MAX": "0",  # a model's socket is a call's
}


def environment(**settings: str) -> dict[str, str]:
    """`settings` over ENVIRONMENT over what this process has that is no setting of a media node."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MEDIA_", "GEMINI_", "TWILIO_"))
    }
    return kept | ENVIRONMENT | settings


@asynccontextmanager
async def node(
    cwd: Path, command: list[str] | None = None, **settings: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:
    """A node, or a supervisor, that has said it is ready, and what it said."""
    ours, theirs = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(command or [sys.executable, "-m", "media_plane"]),
        env=environment(VOICEPLANE_READY_FD=str(theirs), **settings),
        cwd=cwd,
        pass_fds=[theirs],
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(theirs)
    try:
        with os.fdopen(ours) as pipe:
            line = await asyncio.wait_for(asyncio.to_thread(pipe.readline), 90)
        if not line:
            process.kill()
            _, log = await process.communicate()
            raise AssertionError(f"it did not become ready: {log.decode()}")
        yield process, json.loads(line)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def live_call(said: dict[str, Any], workflow_id: str = "call-1") -> AsyncIterator[Caller]:
    """A call on the node whose endpoints `said` has, its stream started; the stream is cut at the end."""
    async with grpc.aio.insecure_channel(said["media_grpc"]) as channel:
        stub: Any = media_pb2_grpc.MediaPlaneStub(channel)
        agent = pb.AgentConfig(system_prompt="You answer.")
        prepared = await stub.PrepareCall(
            pb.PrepareCallRequest(workflow_id=workflow_id, stream_token=TOKEN, agent=agent)
        )
        _, caller = await ws_connect(Caller, prepared.stream_url)
        assert isinstance(caller, Caller)
        caller.start()
        call = pb.GetCallResponse()
        while call.state != pb.CALL_STATE_LIVE:
            call = await stub.GetCall(pb.GetCallRequest(workflow_id=workflow_id))
        try:
            yield caller
        finally:
            if caller.close_code is None:
                caller.cut()
