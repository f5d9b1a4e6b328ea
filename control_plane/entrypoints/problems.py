"""Problem details (RFC 9457) in the OpenAPI document: the schema, and an example for every error."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from control_plane.entrypoints.http_errors import MEDIA_TYPE

_FIELD = {
    "type": "object",
    "required": ["loc", "msg", "type"],
    "properties": {
        "loc": {"type": "array", "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]}},
        "msg": {"type": "string"},
        "type": {"type": "string"},
    },
}
SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "description": "about:blank"},
        "title": {"type": "string", "description": "the status in words"},
        "status": {"type": "integer"},
        "detail": {
            "description": "a sentence, or the fields of the request that are not as they must be",
            "anyOf": [{"type": "string"}, {"type": "array", "items": _FIELD}],
        },
        "code": {"type": "string", "description": "what programs may go by"},
    },
}

_BAD_FIELD = [{"loc": ["body", "phone_number"], "msg": "must be an E.164 number", "type": "value_error"}]
# (status, code): what it means, and an example's detail.
_PROBLEMS: dict[tuple[int, str], tuple[str, Any]] = {
    (401, "UNAUTHORIZED"): ("No credential, or none that is good", "no API key or token was sent"),
    (403, "FORBIDDEN"): ("The credential is not good for this", "this key may not make calls"),
    (404, "AGENT_NOT_FOUND"): ("No such agent, or no such version", "no agent receptionist"),
    (404, "WEBHOOK_NOT_FOUND"): ("No such webhook", "no webhook call-6f1c….call.ended"),
    (404, "CALL_NOT_FOUND"): ("No such call", "no call call-6f1c…"),
    (409, "AGENT_EXISTS"): ("The name is taken", "there is an agent receptionist already"),
    (409, "AGENT_ARCHIVED"): (
        "The agent is archived",
        "agent receptionist is archived; creating it again brings it back",
    ),
    (409, "CALL_NOT_OVER"): (
        "The call is not over",
        "call call-6f1c… is ringing",
    ),
    (409, "CALL_NOT_LIVE"): ("No conversation runs, or another action does", "call call-6f1c… is over: busy"),
    (409, "IDEMPOTENCY_KEY_REUSED"): (
        "The idempotency key was used for another request",
        "this idempotency key was used for another request",
    ),
    (410, "EVENTS_EXPIRED"): (
        "What came after this event is no longer kept",
        "events after this were dropped",
    ),
    (412, "AGENT_CHANGED"): (
        "It is in another version than If-Match says",
        "agent receptionist is in version 4 by now",
    ),
    (413, "CONTENT_TOO_LARGE"): ("The body is too long", "the body must be at most 262144 bytes"),
    (422, "INVALID_FIELD"): ("Fields are not as they must be", _BAD_FIELD),
    (429, "TOO_MANY_REQUESTS"): (
        "The rate limit is reached; see Retry-After",
        "more than 6000 requests in 60 s",
    ),
    (500, "INTERNAL"): ("A bug of ours", "internal error"),
    (503, "DEPENDENCY_UNAVAILABLE"): ("A server we need is away; see Retry-After", "redis is unavailable"),
}
_HEADERS: dict[int, list[str]] = {
    401: ["WWW-Authenticate"],
    429: ["Retry-After", "RateLimit", "RateLimit-Policy"],
    503: ["Retry-After"],
}
ALWAYS = (
    "UNAUTHORIZED",
    "FORBIDDEN",
    "INVALID_FIELD",
    "TOO_MANY_REQUESTS",
    "INTERNAL",
    "DEPENDENCY_UNAVAILABLE",
)

Responses = dict[int | str, dict[str, Any]]


def problems(*codes: str) -> Responses:
    """What an operation may answer with, beside what every one may."""
    found: Responses = {}
    for (status, code), (meaning, detail) in _PROBLEMS.items():
        if code not in codes and code not in ALWAYS:
            continue
        example = {
            "type": "about:blank",
            "title": HTTPStatus(status).phrase,
            "status": status,
            "detail": detail,
            "code": code,
        }
        found[status] = {
            "description": meaning,
            "content": {MEDIA_TYPE: {"schema": SCHEMA, "example": example}},
        }
        if status in _HEADERS:
            found[status]["headers"] = {name: {"schema": {"type": "string"}} for name in _HEADERS[status]}
    return found
