"""All of a call's tools behind two questions: what can the model call, and what does this call answer."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import structlog

from control_plane.errors import ToolsUnusable
from control_plane.tools import metrics
from control_plane.tools.definitions import (
    MAX_DECLARED,
    Declaration,
    HttpTool,
    McpServer,
    OnLine,
    declared,
)
from control_plane.tools.http_tool import HttpTools, ToolFailed, ToolRequest
from control_plane.tools.line_tool import LineTools
from control_plane.tools.mcp_tool import McpTools
from control_plane.tools.store import CallTools, ToolStore, mcp_server
from control_plane.tools.urls import ToolRefused

_log = structlog.get_logger(__name__)


class Toolbox:
    def __init__(self, store: ToolStore, http: HttpTools, mcp: McpTools, line: LineTools) -> None:
        self._store = store
        self._http = http
        self._mcp = mcp
        self._line = line

    async def declarations(self, workflow_id: str) -> list[Declaration]:
        """The functions of a call that is being prepared. MCP servers are asked now, once a call.

        Raises:
            ToolsUnusable: the call has no tools in Redis, or an MCP server can't be used.
            DependencyUnavailable: Redis is away.
        """
        tools = await self._store.get(workflow_id)
        if tools is None:
            raise ToolsUnusable("the call's tools are not in Redis")
        if tools.listed is None:
            tools = CallTools(tools.definitions, await self._listed(tools))
            await self._store.listed(workflow_id, tools)
        found = [declared(each) for each in tools.definitions if not isinstance(each, McpServer)]
        found += [each for listed in (tools.listed or {}).values() for each in listed]
        names = [each.name for each in found]
        double = next((name for name in names if names.count(name) > 1), None)
        if double is not None:
            raise ToolsUnusable(f"two functions are named {double}")
        if len(found) > MAX_DECLARED:
            raise ToolsUnusable(f"the tools make {len(found)} functions; {MAX_DECLARED} are the most")
        return found

    async def execute(self, request: ToolRequest) -> dict[str, Any]:
        """What the model is answered: the function's answer, or {"error": …}. Cancelled: the request is cut.

        Raises: DependencyUnavailable, before anything was executed.
        """
        tools = await self._store.get(request.workflow_id)
        log = _log.bind(workflow_id=request.workflow_id, tool=request.name, tool_call=request.tool_call_id)
        began = time.perf_counter()
        kind, outcome = "none", "cancelled"
        try:
            kind, answer = await self._ask(tools, request)
            outcome = "ok"
            return answer
        except ToolRefused as refused:
            outcome = "refused"
            log.warning("tool refused", reason=str(refused))
            return {"error": f"refused: {refused}"}
        except ToolFailed as failed:
            outcome = "failed"
            log.warning("tool failed", reason=str(failed))
            return {"error": str(failed)}
        finally:
            seconds = time.perf_counter() - began
            metrics.CALLS.labels(kind, outcome).inc()
            metrics.SECONDS.labels(kind).observe(seconds)
            log.info("tool executed", outcome=outcome, ms=round(seconds * 1000))

    async def close(self) -> None:
        await self._http.close()

    async def _ask(self, tools: CallTools | None, request: ToolRequest) -> tuple[str, dict[str, Any]]:
        if tools is None:
            raise ToolFailed("the call's tools are not known any more")
        for each in tools.definitions:
            if isinstance(each, HttpTool) and each.name == request.name:
                return "http", await self._http.ask(each, request)
            if isinstance(each, OnLine) and each.type == request.name:
                return "line", await self._line.ask(each, request)
        server = mcp_server(tools, request.name)
        if server is None:
            raise ToolFailed("there is no such function")
        return "mcp", await self._mcp.call(server, request)

    async def _listed(self, tools: CallTools) -> dict[str, list[Declaration]]:
        """All servers side by side: somebody's phone is ringing."""
        servers = [each for each in tools.definitions if isinstance(each, McpServer)]
        listed = await asyncio.gather(*(self._list(server) for server in servers))
        return {server.name: found for server, found in zip(servers, listed, strict=True)}

    async def _list(self, server: McpServer) -> list[Declaration]:
        try:
            return await self._mcp.list(server)
        except (ToolRefused, ToolFailed) as error:
            raise ToolsUnusable(f"MCP server {server.name}: {error}") from error


def arguments_of(text: str) -> dict[str, Any]:
    """Raises ValueError."""
    value = json.loads(text or "{}")
    if not isinstance(value, dict):
        raise ValueError("arguments_json is no JSON object")
    return value
