"""What the server refuses, as an exception."""

from __future__ import annotations

from collections.abc import Mapping

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from grpc_status import rpc_status


class ApiError(Exception):
    """`code`: gRPC's; `reason`: what programs may go by, `CALL_NOT_FOUND`; `violations`: by field, what is
    wrong with the request; `retry_after_s`: when to come back, if the server said so."""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        reason: str = "",
        violations: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.reason = reason
        self.violations = dict(violations or {})
        self.retry_after_s = retry_after_s

    @classmethod
    def of(cls, error: grpc.RpcError) -> ApiError:
        """Of what grpc raised, by either of its clients."""
        assert isinstance(error, grpc.Call | grpc.aio.AioRpcError), "a failed call says how it failed"
        reason, violations, retry_after_s = "", {}, None
        status = rpc_status.from_call(error)
        for detail in status.details if status is not None else ():
            info, bad, retry = ErrorInfo(), BadRequest(), RetryInfo()
            if detail.Unpack(info):
                reason = info.reason
            elif detail.Unpack(bad):
                violations = {each.field: each.description for each in bad.field_violations}
            elif detail.Unpack(retry):
                retry_after_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
        return cls(
            error.code(),
            error.details() or "",
            reason=reason,
            violations=violations,
            retry_after_s=retry_after_s,
        )
