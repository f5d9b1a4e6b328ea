"""What every HTTP request passes: a bound on its body, the rate limit, and the metrics."""

from __future__ import annotations

import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from control_plane import metrics
from control_plane.domain import principal
from control_plane.entrypoints.http_errors import answer, problem
from control_plane.errors import TooManyRequests
from control_plane.service.limits import RequestLimit
from control_plane.service.ports import Allowance

MAX_BODY_BYTES = 256 * 1024
# Of a refused body this much more is read and thrown away: a connection closed on a sender who is still
# sending is reset, and the answer with it.
MAX_DISCARDED_BYTES = 4 * 1024 * 1024


class _BodyTooLarge(Exception):
    """The body went past the limit while it was read."""


class BodyLimit:
    """Answers 413 to a body longer than `limit` bytes, by its Content-Length or while it is read."""

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Server and framework refuse a Content-Length that is no number before this is asked.
        if any(name == b"content-length" and int(value) > self._limit for name, value in scope["headers"]):
            await self._refuse(scope, receive, send)
            return

        taken = 0
        read_up = False
        answered = False

        async def bounded_receive() -> Message:
            nonlocal taken, read_up
            message = await receive()
            taken += len(message.get("body", b""))
            read_up = not message.get("more_body", False)
            if taken > self._limit:
                raise _BodyTooLarge
            return message

        async def noted_send(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self._app(scope, bounded_receive, noted_send)
        except _BodyTooLarge:
            if answered:
                raise
            await self._refuse(scope, receive, send, read_up=read_up)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, *, read_up: bool = False) -> None:
        discarded, more = 0, not read_up
        while more and discarded < MAX_DISCARDED_BYTES:
            message = await receive()
            discarded += len(message.get("body", b""))
            more = message["type"] == "http.request" and message.get("more_body", False)
        response = problem(
            413, f"the body must be at most {self._limit} bytes", headers={"Connection": "close"}
        )
        await response(scope, receive, send)


class RateLimit:
    """Counts requests of whoever is asking, answers 429 to those over the limit, and tells each how many are
    left (draft-ietf-httpapi-ratelimit-headers-10). What asks for no credential is not counted."""

    def __init__(self, app: ASGIApp, limit: RequestLimit) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asker = principal.current()
        if scope["type"] != "http" or asker is principal.NOBODY:
            await self._app(scope, receive, send)
            return
        allowance = await self._limit.take(asker.id)
        if allowance is None:
            await self._app(scope, receive, send)
            return

        async def noted_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["RateLimit-Policy"] = f'"default";q={allowance.limit};w={allowance.window_s}'
                headers["RateLimit"] = f'"default";r={allowance.left};t={allowance.reset_s}'
            await send(message)

        if allowance.allowed:
            await self._app(scope, receive, noted_send)
        else:
            await answer(_refusal(allowance))(scope, receive, noted_send)


def _refusal(allowance: Allowance) -> TooManyRequests:
    return TooManyRequests(
        f"more than {allowance.limit} requests in {allowance.window_s} s",
        retry_after_s=max(allowance.reset_s, 1),
    )


class RequestMetrics:
    """Counts and times requests by route template, so that ids make no series of their own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500  # what the server answers when the application fails before it says anything

        async def noted_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted_send)
        finally:
            # The router writes the route it chose into the scope; any other path is one series.
            route = getattr(scope.get("route"), "path", "(none)")
            method = scope["method"] if route != "(none)" else "(any)"
            metrics.HTTP_REQUESTS.labels(method, route, str(status)).inc()
            metrics.HTTP_SECONDS.labels(method, route).observe(time.perf_counter() - started)
