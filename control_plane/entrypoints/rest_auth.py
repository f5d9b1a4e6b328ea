"""Every HTTP request says who sends it before a route sees it, or its body is read."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from control_plane.auth import access
from control_plane.auth.authenticator import Asker, Authenticator
from control_plane.domain import principal
from control_plane.entrypoints import http_errors
from control_plane.errors import ControlPlaneError

_POLICY_VIOLATION = 1008  # RFC 6455: an upgrade is refused with 403


class Authentication:
    """Puts the principal in place (`domain.principal`), or answers 401, 403, 429 or 503.

    Routes are asked for what `auth.access` says; `open_metrics`: /metrics for nothing.
    """

    def __init__(self, app: ASGIApp, authenticator: Authenticator, *, open_metrics: bool) -> None:
        self._app = app
        self._authenticator = authenticator
        self._open_metrics = open_metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        needed = access.of_request(scope.get("method", "GET"), scope["path"])
        if needed is None or (self._open_metrics and scope["path"] == "/metrics"):
            await self._app(scope, receive, send)
            return
        try:
            found = await self._authenticator.principal(_asker(scope), needed)
        except ControlPlaneError as error:
            if scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": str(error)})
                return
            await http_errors.answer(error)(scope, receive, send)
            return
        with principal.acting(found):
            await self._app(scope, receive, send)


def describe(app: FastAPI) -> None:
    """Have the application's OpenAPI document say what each operation asks for."""
    plain = app.openapi

    def openapi() -> dict[str, Any]:
        schema = plain()
        schemes = schema.setdefault("components", {}).setdefault("securitySchemes", {})
        if "bearer" not in schemes:
            schemes["bearer"] = {
                "type": "http",
                "scheme": "bearer",
                "description": "an API key (`voiceplane keys create`), or a token of the JWT issuer",
            }
            for path, operations in schema["paths"].items():
                for method, operation in operations.items():
                    needed = access.of_request(method.upper(), path)
                    if needed is not None:
                        operation["security"] = [{"bearer": [needed.value]}]
        return schema

    app.openapi = openapi  # type: ignore[method-assign]


def _asker(scope: Scope) -> Asker:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    client = scope.get("client")
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value  # RFC 9110, 5.3
    return Asker(
        address=client[0] if client else "",
        headers=joined,
        authorization=[value for name, value in headers if name == "authorization"],
    )
