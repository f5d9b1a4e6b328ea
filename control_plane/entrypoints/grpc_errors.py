"""How errors answer over gRPC: the only place that knows both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Never

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from control_plane.errors import (
    CallNotFound,
    CallNotOver,
    ControlPlaneError,
    DependencyUnavailable,
    InvalidCall,
)


class InvalidRequest(ControlPlaneError):
    """Fields of a request that are not as they must be."""

    def __init__(self, violations: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{field}: {reason}" for field, reason in violations.items()))
        self.violations = dict(violations)


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
    match error:
        case InvalidRequest() | InvalidCall():
            return grpc.StatusCode.INVALID_ARGUMENT
        case CallNotFound():
            return grpc.StatusCode.NOT_FOUND
        case CallNotOver():
            return grpc.StatusCode.FAILED_PRECONDITION
        case DependencyUnavailable():
            return grpc.StatusCode.UNAVAILABLE
        case _:
            return grpc.StatusCode.INTERNAL


def _message(error: ControlPlaneError) -> str:
    if isinstance(error, DependencyUnavailable):
        # Which server is away may be known; its address and its own words belong in the log.
        return f"{error.dependency} is unavailable"
    return str(error)


def _details(error: ControlPlaneError) -> list[Message]:
    match error:
        case InvalidRequest() | InvalidCall():
            fields = [
                BadRequest.FieldViolation(field=field, description=reason)
                for field, reason in error.violations.items()
            ]
            return [BadRequest(field_violations=fields)]
        case DependencyUnavailable():
            return [RetryInfo(retry_delay=Duration(seconds=error.retry_after_s))]
        case _:
            return []
