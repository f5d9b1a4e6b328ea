"""Functions of MCP servers (streamable HTTP), through the mcp package over our own pinned HTTP.

A session is opened for each listing and each call: servers may live behind balancers that forget, and the
caller's wait is dominated by the function itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx2 as httpx
from mcp import Client, MCPError
from mcp.client.streamable_http import StreamableHTTPError, streamable_http_client
from mcp.types import TextContent, Tool

from control_plane.tools.definitions import MAX_DECLARED, Declaration, McpServer, tool_name
from control_plane.tools.http_tool import CONNECT_S, MAX_ANSWER, ToolFailed, ToolRequest
from control_plane.tools.pinned import PinnedTransport
from control_plane.tools.urls import ToolRefused

LIST_S = 5.0
_IDEMPOTENCY = "voiceplane/idempotency-key"  # in the request's _meta


class _Bounded(httpx.AsyncByteStream):
    """A response's body, up to a limit."""

    def __init__(self, stream: httpx.AsyncByteStream, limit: int) -> None:
        self._stream = stream
        self._left = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            self._left -= len(chunk)
            if self._left < 0:
                raise httpx.ReadError("the MCP server's answer is too long")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Limited(httpx.AsyncBaseTransport):
    """No redirects, no compressed or endless bodies; and it keeps what it refused, since the mcp package
    reports every transport's failure in its own words."""

    def __init__(self, inner: PinnedTransport) -> None:
        self._inner = inner
        self.refused: ToolRefused | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            request.headers["Accept-Encoding"] = "identity"
            answer = await self._inner.handle_async_request(request)
            if 300 <= answer.status_code < 400:
                await answer.aclose()
                raise ToolRefused(f"the MCP server answered with a redirect ({answer.status_code})")
            if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
                await answer.aclose()
                raise ToolRefused("the MCP server's answer is compressed, which was not asked for")
        except ToolRefused as refused:
            self.refused = refused
            raise httpx.ConnectError(str(refused)) from refused
        assert isinstance(answer.stream, httpx.AsyncByteStream), "an asynchronous transport answers such"
        answer.stream = _Bounded(answer.stream, 16 * MAX_ANSWER)
        return answer


class McpTools:
    """Lists and calls; `transport` decides what may be reached, and is not closed here."""

    def __init__(self, transport: PinnedTransport) -> None:
        self._transport = transport

    async def list(self, server: McpServer) -> list[Declaration]:
        """The functions of `server`.

        Raises:
            ToolRefused, ToolFailed: as of HTTP tools.
        """
        async with self._session(server, LIST_S) as client:
            listed: list[Tool] = []
            cursor = None
            while True:
                page = await client.list_tools(cursor=cursor)
                listed += page.tools
                cursor = page.next_cursor
                if cursor is None or len(listed) > MAX_DECLARED:
                    break
        chosen = [tool for tool in listed if not server.allowed or tool.name in server.allowed]
        missing = set(server.allowed) - {tool.name for tool in chosen}
        if missing:
            raise ToolFailed(f"{server.name} lists no {', '.join(sorted(missing))}")
        return [_declaration(server, tool) for tool in chosen]

    async def call(self, server: McpServer, request: ToolRequest) -> dict[str, Any]:
        """Raises: ToolRefused, ToolFailed."""
        async with self._session(server, request.timeout_s) as client:
            result = await client.call_tool(
                request.name, request.arguments, meta=cast(Any, {_IDEMPOTENCY: request.idempotency_key})
            )
        texts = [item.text for item in result.content if isinstance(item, TextContent)]
        text = "\n".join(texts)[:MAX_ANSWER]
        if result.is_error:
            raise ToolFailed(text[:500] or "the function failed")
        structured = result.structured_content
        if isinstance(structured, dict) and len(json.dumps(structured)) <= MAX_ANSWER:
            return structured
        return {"output": text or "done"}

    @asynccontextmanager
    async def _session(self, server: McpServer, timeout_s: float) -> AsyncIterator[Client]:
        limited = _Limited(self._transport)
        http = httpx.AsyncClient(
            transport=limited,
            trust_env=False,
            headers=server.headers,
            timeout=httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
        )
        try:
            async with asyncio.timeout(timeout_s):
                streams = streamable_http_client(server.url, http_client=http)
                async with Client(streams, cache=None, read_timeout_seconds=timeout_s) as client:
                    yield client
        except TimeoutError:
            raise ToolFailed(f"{server.name}: no answer within {timeout_s:.1f} s") from None
        except (MCPError, StreamableHTTPError, httpx.HTTPError, ExceptionGroup) as error:
            if limited.refused is not None:
                raise limited.refused from error
            raise _failure(server, error) from error
        finally:
            await http.aclose()


def _declaration(server: McpServer, tool: Tool) -> Declaration:
    try:
        name = tool_name(tool.name)
    except ValueError as error:
        raise ToolFailed(f"{server.name}: the function {tool.name!r}: its name {error}") from None
    return Declaration(
        name=name,
        description=(tool.description or tool.name)[:4000],
        parameters_json=json.dumps(tool.input_schema) if tool.input_schema else "",
        blocking=server.blocking,
        timeout_ms=server.timeout_ms,
        scheduling=server.scheduling,
    )


def _failure(server: McpServer, error: Exception) -> Exception:
    """The first cause that says something; one of ours passes through a task group as it is."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ToolFailed | ToolRefused):
        return error
    return ToolFailed(f"{server.name}: {str(error)[:300]}")
