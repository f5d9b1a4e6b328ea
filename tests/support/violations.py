"""What a gRPC error says of a request's fields."""

from __future__ import annotations

import grpc
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status


def violated(error: grpc.aio.AioRpcError) -> list[str]:
    """The fields that google.rpc.BadRequest names, in its order."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    detail = BadRequest()
    assert any(each.Unpack(detail) for each in status.details)
    return [violation.field for violation in detail.field_violations]
