"""`python -m tests.support.tool_worker REDIS_URL LEASE_S`: a process that executes tools, to be killed.

Says "ready" when it takes calls; tools may be at 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from control_plane.adapters import redis_client
from control_plane.adapters.media_nodes import RegisteredMediaNodes
from control_plane.errors import CallNotLive
from control_plane.tools.http_tool import HttpTools
from control_plane.tools.line_tool import LineTools, LineUse
from control_plane.tools.mcp_tool import McpTools
from control_plane.tools.pinned import PinnedTransport
from control_plane.tools.runner import BLOCK_S, ToolRunner
from control_plane.tools.store import ToolStore
from control_plane.tools.toolbox import Toolbox
from control_plane.tools.urls import UrlPolicy
from workflows.contracts import TransferRequest


class NoLine:
    """The line of calls that have none."""

    async def send_dtmf(self, workflow_id: str, digits: str) -> None:
        raise CallNotLive("the call has no stream now")

    async def transfer(self, workflow_id: str, request: TransferRequest) -> None:
        raise CallNotLive("the call has no stream now")

    async def leave_voicemail(self, workflow_id: str, message: str) -> None:
        raise CallNotLive("the call has no stream now")


@asynccontextmanager
async def running_tool_worker(
    redis_url: str, lease_s: float, owner: str, line: LineUse | None = None
) -> AsyncIterator[ToolRunner]:
    """The worker's tools, without the worker."""
    redis = redis_client.connect(redis_url)
    blocking = redis_client.connect(redis_url, answer_s=BLOCK_S + 1)
    nodes = RegisteredMediaNodes(redis)
    store = ToolStore(redis, lease_s=lease_s)
    transport = PinnedTransport(UrlPolicy(allowed_hosts=frozenset({"127.0.0.1"})))
    toolbox = Toolbox(
        store, HttpTools(transport, secret="s3cret"), McpTools(transport), LineTools(line or NoLine())
    )
    runner = ToolRunner(blocking, store, toolbox, nodes, owner=owner)
    running = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        await runner.stop(1.0)
        await running
        await toolbox.close()
        await nodes.close()
        await blocking.aclose()
        await redis.aclose()


async def main() -> None:
    async with running_tool_worker(sys.argv[1], float(sys.argv[2]), f"process-{os.getpid()}"):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
