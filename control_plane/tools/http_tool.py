"""One HTTP tool, asked once: request, signature, limits, and what its answer means to the model."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx2 as httpx

from control_plane.tools import signing
from control_plane.tools.definitions import HttpTool
from control_plane.tools.urls import ToolRefused

MAX_ANSWER = 65_536 - 1024  # bytes; what the media node takes, with our envelope
MAX_QUERY = 4096
CONNECT_S = 3.0
_IN_QUERY = frozenset({"GET", "DELETE"})


class ToolFailed(Exception):
    """The tool could not be asked, or said no; the message is for the model and for logs."""


@dataclass(frozen=True)
class ToolRequest:
    """One call of a function."""

    workflow_id: str
    tool_call_id: str
    name: str
    arguments: dict[str, Any]
    idempotency_key: str
    timeout_s: float


class HttpTools:
    """Asks HTTP tools over `transport`, which decides what may be reached.

    Args:
        secret: requests are signed with it; empty: not signed.
    """

    def __init__(
        self, transport: httpx.AsyncBaseTransport, *, secret: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = httpx.AsyncClient(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            headers={"User-Agent": "voiceplane", "Accept": "application/json, text/plain;q=0.5"},
        )
        self._secret = secret
        self._clock = clock

    async def ask(self, tool: HttpTool, request: ToolRequest) -> dict[str, Any]:
        """The answer, as an object for the model.

        Raises:
            ToolRefused: the URL, or the answer, is one we do not take.
            ToolFailed: no answer in time, no connection, or a status of 400 and above.
        """
        try:
            async with asyncio.timeout(request.timeout_s):
                return await self._ask(tool, request)
        except TimeoutError:
            raise ToolFailed(f"no answer within {request.timeout_s:.1f} s") from None
        except httpx.TransportError as error:
            raise ToolFailed(f"{type(error).__name__}: {str(error)[:200]}") from error

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, tool: HttpTool, request: ToolRequest) -> dict[str, Any]:
        http = self._request(tool, request)
        answer = await self._client.send(http, stream=True)
        try:
            if answer.is_redirect or 300 <= answer.status_code < 400:
                raise ToolRefused(f"the tool answered with a redirect ({answer.status_code})")
            content_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise ToolRefused("the tool's answer is compressed, which was not asked for")
            body = await _body(answer)
        finally:
            await answer.aclose()
        if answer.status_code >= 400:
            raise ToolFailed(f"the tool answered HTTP {answer.status_code}{_detail(content_type, body)}")
        return _meaning(content_type, body)

    def _request(self, tool: HttpTool, request: ToolRequest) -> httpx.Request:
        url, body = tool.url, b""
        if tool.method in _IN_QUERY:
            query = urlencode({name: _plain(value) for name, value in request.arguments.items()})
            if len(query) > MAX_QUERY:
                raise ToolRefused(f"the arguments make a query of more than {MAX_QUERY} characters")
            url += ("&" if "?" in url else "?") + query if query else ""
        else:
            body = json.dumps(request.arguments).encode()
        headers = {
            **tool.headers,
            "Accept-Encoding": "identity",
            "Idempotency-Key": request.idempotency_key,
            "X-Voiceplane-Call": request.workflow_id,
            "X-Voiceplane-Tool": request.name,
        }
        if tool.method not in _IN_QUERY:
            headers["Content-Type"] = "application/json"
        http = self._client.build_request(
            tool.method,
            url,
            content=body,
            headers=headers,
            timeout=httpx.Timeout(request.timeout_s, connect=min(CONNECT_S, request.timeout_s)),
        )
        if self._secret:
            timestamp = int(self._clock())
            target = http.url.raw_path.decode("ascii")
            http.headers[signing.TIMESTAMP] = str(timestamp)
            http.headers[signing.SIGNATURE] = signing.sign(self._secret, timestamp, tool.method, target, body)
        return http


async def _body(answer: httpx.Response) -> bytes:
    """Raises ToolRefused for one that is too long, told by its length or found out."""
    length = answer.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > MAX_ANSWER:
        raise ToolRefused(f"the tool's answer is longer than {MAX_ANSWER} bytes")
    body = bytearray()
    async for chunk in answer.aiter_raw():
        body += chunk
        if len(body) > MAX_ANSWER:
            raise ToolRefused(f"the tool's answer is longer than {MAX_ANSWER} bytes")
    return bytes(body)


def _meaning(content_type: str, body: bytes) -> dict[str, Any]:
    if not body.strip():
        return {"output": "done"}
    if content_type == "application/json" or content_type.endswith("+json"):
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            raise ToolFailed("the tool's answer is not the JSON it says it is") from None
        return value if isinstance(value, dict) else {"output": value}
    if content_type == "text/plain":
        return {"output": body.decode("utf-8", "replace")}
    raise ToolRefused(f"the tool's answer is {content_type or 'of no type'}, neither JSON nor plain text")


def _detail(content_type: str, body: bytes) -> str:
    """What a tool says about its own failure helps the model explain it; a page for browsers does not."""
    if content_type in ("text/plain", "application/json") and body:
        return ": " + body[:500].decode("utf-8", "replace")
    return ""


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
