"""An MCP server as others run it: the mcp package's own, over HTTP, with a function or two."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from tests.support.eventually import eventually


@dataclass
class Shop:
    """`url` is the MCP endpoint; `asked` what the functions were called with."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)


@asynccontextmanager
async def running_shop() -> AsyncIterator[Shop]:
    shop = Shop()
    server = MCPServer("shop")

    @server.tool()
    def find_order(number: int, ctx: Context) -> str:  # type: ignore[type-arg]
        """Where an order is."""
        meta = ctx.request_context.meta
        shop.asked.append({"number": number, "meta": dict(meta) if meta else {}})
        return f"Order {number} is on its way"

    @server.tool()
    def cancel_order(number: int) -> str:
        """Cancels an order."""
        raise ToolError(f"order {number} has left")

    app = server.streamable_http_app()

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = dict(scope["headers"])
            shop.authorizations.append(headers.get(b"authorization", b"").decode())
        await app(scope, receive, send)

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(noting, log_config=None, lifespan="on", ws="none")
    runner = uvicorn.Server(config)
    serving = asyncio.create_task(runner.serve(sockets=[listener]))
    await eventually(lambda: runner.started)
    shop.url = f"http://127.0.0.1:{listener.getsockname()[1]}/mcp"
    try:
        yield shop
    finally:
        runner.should_exit = True
        await serving
