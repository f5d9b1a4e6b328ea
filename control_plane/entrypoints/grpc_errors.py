"""How errors answer over gRPC: the only place that knows both."""

from __future__ import annotations

from typing import Any, Never

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

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

DOMAIN = "voiceplane"

# By class, the most special first: the code tells a client what it can do, the reason tells what it was.
_CODES: tuple[tuple[type[ControlPlaneError], grpc.StatusCode, str], ...] = (
    (InvalidField, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
    (InvalidCall, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_CALL"),
    (CallNotFound, grpc.StatusCode.NOT_FOUND, "CALL_NOT_FOUND"),
    (CallNotOver, grpc.StatusCode.FAILED_PRECONDITION, "CALL_NOT_OVER"),
    (CallNotLive, grpc.StatusCode.FAILED_PRECONDITION, "CALL_NOT_LIVE"),
    (CallBusy, grpc.StatusCode.FAILED_PRECONDITION, "CALL_BUSY"),
    (IdempotencyConflict, grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED"),
    (EventsExpired, grpc.StatusCode.OUT_OF_RANGE, "EVENTS_EXPIRED"),
    (Unauthenticated, grpc.StatusCode.UNAUTHENTICATED, "UNAUTHORIZED"),
    (PermissionDenied, grpc.StatusCode.PERMISSION_DENIED, "FORBIDDEN"),
    (AgentNotFound, grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND"),
    (AgentExists, grpc.StatusCode.ALREADY_EXISTS, "AGENT_EXISTS"),
    (AgentArchived, grpc.StatusCode.FAILED_PRECONDITION, "AGENT_ARCHIVED"),
    (AgentChanged, grpc.StatusCode.ABORTED, "AGENT_CHANGED"),
    (TooManyRequests, grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_REQUESTS"),
    (DependencyUnavailable, grpc.StatusCode.UNAVAILABLE, "DEPENDENCY_UNAVAILABLE"),
)


async def abort(context: grpc.aio.ServicerContext[Any, Any], error: ControlPlaneError) -> Never:
    """End the request with the status that fits `error`, and details that a program can read."""
    packed = []
    for detail in _details(error):
        packed.append(AnyMessage())
        packed[-1].Pack(detail)
    number, _ = code_of(error).value
    status = rpc_status.to_status(Status(code=number, message=_message(error), details=packed))
    await context.abort(status.code, status.details, status.trailing_metadata)


def code_of(error: ControlPlaneError) -> grpc.StatusCode:
    """The gRPC status code that tells a client what it can do about `error`."""
    return _known(error)[0]


def _known(error: ControlPlaneError) -> tuple[grpc.StatusCode, str]:
    if isinstance(error, PolicyRefused):
        denied = error.retry_after_s is None
        code = grpc.StatusCode.PERMISSION_DENIED if denied else grpc.StatusCode.RESOURCE_EXHAUSTED
        return code, error.rule.upper()
    for kind, code, reason in _CODES:
        if isinstance(error, kind):
            return code, reason
    return grpc.StatusCode.INTERNAL, "INTERNAL"


def _message(error: ControlPlaneError) -> str:
    if isinstance(error, DependencyUnavailable):
        # Which server is away may be known; its address and its own words belong in the log.
        return f"{error.dependency} is unavailable"
    if code_of(error) is grpc.StatusCode.INTERNAL:
        return "internal error"
    return str(error)


def _details(error: ControlPlaneError) -> list[Message]:
    details: list[Message] = []
    match error:
        case InvalidField() | InvalidCall():
            fields = [
                BadRequest.FieldViolation(field=field, description=reason)
                for field, reason in error.violations.items()
            ]
            details.append(BadRequest(field_violations=fields))
        case DependencyUnavailable() | TooManyRequests():
            details.append(RetryInfo(retry_delay=Duration(seconds=error.retry_after_s)))
        case PolicyRefused() if error.retry_after_s is not None:
            details.append(RetryInfo(retry_delay=Duration(seconds=error.retry_after_s)))
        case _:
            pass
    info = ErrorInfo(reason=_known(error)[1], domain=DOMAIN)
    if isinstance(error, DependencyUnavailable):
        info.metadata["dependency"] = error.dependency
    return [*details, info]
