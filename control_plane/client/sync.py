"""The client for threads."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import grpc

from control_plane.client import convert, models, requests
from control_plane.client.errors import ApiError
from control_plane.client.retry import RESUMED, TRANSIENT, Backoff
from protos.voiceplane.calls.v1 import calls_pb2 as pb
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceStub


class Client:
    """As `AsyncClient`, which documents the arguments and the methods; `with` closes it."""

    def __init__(
        self,
        address: str,
        *,
        api_key: str = "",
        credentials: grpc.ChannelCredentials | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        if credentials is None:
            self._channel = grpc.insecure_channel(address, options=requests.CHANNEL_OPTIONS)
        else:
            self._channel = grpc.secure_channel(address, credentials, options=requests.CHANNEL_OPTIONS)
        self._stub: Any = CallServiceStub(self._channel)
        self._metadata = requests.metadata(api_key)
        self._timeout_s = timeout_s

    def create(self, call: models.NewCall, *, idempotency_key: str = "") -> models.CreatedCall:
        request = convert.new_call(call, idempotency_key or str(uuid.uuid4()))
        return convert.created(self._send(self._stub.CreateCall, request))

    def get(self, workflow_id: str) -> models.Call:
        return convert.call(self._send(self._stub.GetCall, pb.GetCallRequest(workflow_id=workflow_id)))

    def list(
        self,
        *statuses: models.CallStatus,
        phone_number: str = "",
        agent_name: str = "",
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> models.CallPage:
        request = convert.filters(
            statuses=statuses,
            phone_number=phone_number,
            agent_name=agent_name,
            created_after=created_after,
            created_before=created_before,
            page_size=page_size,
            page_token=page_token,
        )
        return convert.page(self._send(self._stub.ListCalls, request))

    def terminate(self, workflow_id: str, reason: str = "") -> models.CallStatus:
        request = pb.TerminateCallRequest(workflow_id=workflow_id, reason=reason)
        return convert.status(self._send(self._stub.TerminateCall, request).status)

    def result(self, workflow_id: str) -> models.CallResult:
        request = pb.GetCallResultRequest(workflow_id=workflow_id)
        return convert.result(self._send(self._stub.GetCallResult, request))

    def say(self, workflow_id: str, text: str) -> None:
        self._once(self._stub.SendText, requests.send_text(workflow_id, text, instruct=False))

    def instruct(self, workflow_id: str, text: str) -> None:
        self._once(self._stub.SendText, requests.send_text(workflow_id, text, instruct=True))

    def send_dtmf(self, workflow_id: str, digits: str) -> None:
        self._once(self._stub.SendDtmf, pb.SendDtmfRequest(workflow_id=workflow_id, digits=digits))

    def transfer(
        self, workflow_id: str, to: str, *, warm: bool = False, summary: str = "", timeout_seconds: int = 0
    ) -> None:
        request = requests.transfer(
            workflow_id, to, warm=warm, summary=summary, timeout_seconds=timeout_seconds
        )
        self._once(self._stub.TransferCall, request)

    def watch(self, workflow_id: str, *, after_sequence: int = 0) -> Iterator[models.Item]:
        backoff = Backoff(requests.WATCH_GIVE_UP_S)
        while True:
            request = pb.WatchCallRequest(workflow_id=workflow_id, after_sequence=after_sequence)
            stream = self._stub.WatchCall(request, metadata=self._metadata)
            try:
                for answer in stream:
                    backoff.succeeded()
                    after_sequence = answer.sequence
                    yield convert.item(answer)
                return
            except grpc.RpcError as failure:
                _pause(ApiError.of(failure), RESUMED, backoff, failure)
            finally:
                stream.cancel()

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, method: Callable[..., Any], request: Any) -> Any:
        deadline = time.monotonic() + self._timeout_s
        backoff = Backoff(self._timeout_s)
        while True:
            try:
                return method(
                    request, metadata=self._metadata, timeout=max(deadline - time.monotonic(), 0.001)
                )
            except grpc.RpcError as failure:
                _pause(ApiError.of(failure), TRANSIENT, backoff, failure)

    def _once(self, method: Callable[..., Any], request: Any) -> Any:
        try:
            return method(request, metadata=self._metadata, timeout=self._timeout_s)
        except grpc.RpcError as failure:
            raise ApiError.of(failure) from failure


def _pause(error: ApiError, passing: frozenset[grpc.StatusCode], backoff: Backoff, cause: Exception) -> None:
    pause = backoff.pause(error, time.monotonic()) if error.code in passing else None
    if pause is None:
        raise error from cause
    time.sleep(pause)
