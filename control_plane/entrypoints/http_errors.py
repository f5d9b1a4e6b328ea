"""How errors answer over HTTP: the only place that knows both.

Problem details (RFC 9457), `application/problem+json`: `type` (always about:blank), `title`, `status`,
`detail`, and `code`, which programs may go by. `detail` is a sentence; where fields of a request are wrong,
it is the list of them, `{"loc": […], "msg", "type"}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from control_plane.errors import (
    AgentArchived,
    AgentChanged,
    AgentExists,
    AgentNotFound,
    CallBusy,
    CallNotFound,
    CallNotLive,
    CallNotOver,
    ControlPlaneError,
    DependencyUnavailable,
    EventsExpired,
    IdempotencyConflict,
    InvalidCall,
    InvalidField,
    PermissionDenied,
    PolicyRefused,
    TooManyRequests,
    Unauthenticated,
)
from control_plane.service.webhook_ports import DeliveryNotFound

MEDIA_TYPE = "application/problem+json"

# By class, the most special first. The codes are the reasons of the gRPC API.
_STATUSES: tuple[tuple[type[ControlPlaneError], int, str], ...] = (
    (InvalidField, 422, "INVALID_FIELD"),
    (InvalidCall, 422, "INVALID_CALL"),
    (CallNotFound, 404, "CALL_NOT_FOUND"),
    (DeliveryNotFound, 404, "WEBHOOK_NOT_FOUND"),
    (CallNotOver, 409, "CALL_NOT_OVER"),
    (CallNotLive, 409, "CALL_NOT_LIVE"),
    (CallBusy, 409, "CALL_BUSY"),
    (IdempotencyConflict, 409, "IDEMPOTENCY_KEY_REUSED"),
    (EventsExpired, 410, "EVENTS_EXPIRED"),
    (Unauthenticated, 401, "UNAUTHORIZED"),
    (PermissionDenied, 403, "FORBIDDEN"),
    (AgentNotFound, 404, "AGENT_NOT_FOUND"),
    (AgentExists, 409, "AGENT_EXISTS"),
    (AgentArchived, 409, "AGENT_ARCHIVED"),
    (AgentChanged, 412, "AGENT_CHANGED"),
    (TooManyRequests, 429, "TOO_MANY_REQUESTS"),
    (DependencyUnavailable, 503, "DEPENDENCY_UNAVAILABLE"),
)


def install(app: FastAPI) -> None:
    """Have `app` answer every error with problem details and the status that fits."""

    @app.exception_handler(ControlPlaneError)
    async def ours(_: Request, error: ControlPlaneError) -> Response:
        return answer(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        # The input is left out: it may be large, secret, or no valid Unicode to answer with.
        fields = [_field(each["loc"], each["msg"], each["type"]) for each in error.errors()]
        return problem(422, fields, "INVALID_FIELD")

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> Response:
        return problem(error.status_code, error.detail, headers=error.headers)

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        # The server logs the exception; the caller is not told how we look inside.
        return problem(500, "internal error", "INTERNAL")


def answer(error: ControlPlaneError) -> Response:
    """The response that says `error`."""
    status, code = _known(error)
    match error:
        case DependencyUnavailable():
            # Which server is away may be known; its address and its own words belong in the log.
            headers = {"Retry-After": str(error.retry_after_s)}
            return problem(status, f"{error.dependency} is unavailable", code, headers=headers)
        case Unauthenticated() | PermissionDenied():
            headers = {"WWW-Authenticate": f"Bearer {error.challenge}"}
            return problem(status, str(error), code, headers=headers)
        case TooManyRequests():
            return problem(status, str(error), code, headers={"Retry-After": str(error.retry_after_s)})
        case PolicyRefused() if error.retry_after_s is not None:
            return problem(status, str(error), code, headers={"Retry-After": str(error.retry_after_s)})
        case InvalidField() | InvalidCall():
            fields = [
                _field([getattr(error, "where", "body"), *_path(field)], reason, "value_error")
                for field, reason in error.violations.items()
            ]
            return problem(status, fields, code)
        case _ if status == 500:
            return problem(status, "internal error", code)
        case _:
            return problem(status, str(error), code)


def problem(
    status: int,
    detail: str | list[dict[str, Any]],
    code: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A response that holds problem details."""
    title = HTTPStatus(status).phrase
    body = {
        "type": "about:blank",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code or title.upper().replace(" ", "_"),
    }
    # ASCII with escapes: a detail may quote what was sent, and half a surrogate pair has no UTF-8.
    content = json.dumps(body, separators=(",", ":")).encode()
    return Response(content, status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def _known(error: ControlPlaneError) -> tuple[int, str]:
    if isinstance(error, PolicyRefused):
        return (403 if error.retry_after_s is None else 429), error.rule.upper()
    for kind, status, code in _STATUSES:
        if isinstance(error, kind):
            return status, code
    return 500, "INTERNAL"


def _field(location: Sequence[Any], message: str, kind: str) -> dict[str, Any]:
    return {"loc": list(location), "msg": message, "type": kind}


def _path(field: str) -> list[str | int]:
    return [int(step) if step.isdecimal() else step for step in field.split(".")]
