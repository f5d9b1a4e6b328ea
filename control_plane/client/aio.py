"""The client for asyncio."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import grpc

from control_plane.client import convert, models, requests
from control_plane.client.errors import ApiError
from control_plane.client.retry import RESUMED, TRANSIENT, Backoff
from protos.voiceplane.calls.v1 import calls_pb2 as pb
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceStub


class AsyncClient:
    """Create it in the event loop that uses it; `async with` closes it.

    Args:
        address: of the control plane's gRPC port, `127.0.0.1:50050`.
        api_key: or a token of the JWT issuer; empty: none is sent.
        credentials: for TLS; None: plain text.
        timeout_s: of one method, retries included; not of `watch`.
    """

    def __init__(
        self,
        address: str,
        *,
        api_key: str = "",
        credentials: grpc.ChannelCredentials | None = None,
        timeout_s: float = 10.0,
    ) -> None:
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(address, options=requests.CHANNEL_OPTIONS)
        else:
            self._channel = grpc.aio.secure_channel(address, credentials, options=requests.CHANNEL_OPTIONS)
        self._stub: Any = CallServiceStub(self._channel)
        self._metadata = requests.metadata(api_key)
        self._timeout_s = timeout_s

    async def create(self, call: models.NewCall, *, idempotency_key: str = "") -> models.CreatedCall:
        """Start a call, once, however often the request must be sent.

        A key of your own lets it be sent again by another process, too; empty: one is made up.
        """
        request = convert.new_call(call, idempotency_key or str(uuid.uuid4()))
        return convert.created(await self._send(self._stub.CreateCall, request))

    async def get(self, workflow_id: str) -> models.Call:
        return convert.call(await self._send(self._stub.GetCall, pb.GetCallRequest(workflow_id=workflow_id)))

    async def list(
        self,
        *statuses: models.CallStatus,
        phone_number: str = "",
        agent_name: str = "",
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        page_size: int = 0,
        page_token: str = "",
    ) -> models.CallPage:
        """Newest first."""
        request = convert.filters(
            statuses=statuses,
            phone_number=phone_number,
            agent_name=agent_name,
            created_after=created_after,
            created_before=created_before,
            page_size=page_size,
            page_token=page_token,
        )
        return convert.page(await self._send(self._stub.ListCalls, request))

    async def terminate(self, workflow_id: str, reason: str = "") -> models.CallStatus:
        request = pb.TerminateCallRequest(workflow_id=workflow_id, reason=reason)
        return convert.status((await self._send(self._stub.TerminateCall, request)).status)

    async def result(self, workflow_id: str) -> models.CallResult:
        """Raises ApiError FAILED_PRECONDITION while the call is not over."""
        request = pb.GetCallResultRequest(workflow_id=workflow_id)
        return convert.result(await self._send(self._stub.GetCallResult, request))

    async def say(self, workflow_id: str, text: str) -> None:
        """The agent says it now."""
        await self._once(self._stub.SendText, requests.send_text(workflow_id, text, instruct=False))

    async def instruct(self, workflow_id: str, text: str) -> None:
        """The agent is told, and says nothing about it."""
        await self._once(self._stub.SendText, requests.send_text(workflow_id, text, instruct=True))

    async def send_dtmf(self, workflow_id: str, digits: str) -> None:
        await self._once(self._stub.SendDtmf, pb.SendDtmfRequest(workflow_id=workflow_id, digits=digits))

    async def transfer(
        self, workflow_id: str, to: str, *, warm: bool = False, summary: str = "", timeout_seconds: int = 0
    ) -> None:
        request = requests.transfer(
            workflow_id, to, warm=warm, summary=summary, timeout_seconds=timeout_seconds
        )
        await self._once(self._stub.TransferCall, request)

    async def watch(self, workflow_id: str, *, after_sequence: int = 0) -> AsyncIterator[models.Item]:
        """Everything after that item, each item once, until `Ended`, whatever happens to the connection."""
        backoff = Backoff(requests.WATCH_GIVE_UP_S)
        while True:
            request = pb.WatchCallRequest(workflow_id=workflow_id, after_sequence=after_sequence)
            stream = self._stub.WatchCall(request, metadata=self._metadata)
            try:
                async for answer in stream:
                    backoff.succeeded()
                    after_sequence = answer.sequence
                    yield convert.item(answer)
                return
            except grpc.aio.AioRpcError as failure:
                await _pause(ApiError.of(failure), RESUMED, backoff, failure)
            finally:
                stream.cancel()

    async def close(self) -> None:
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, method: Callable[..., Awaitable[Any]], request: Any) -> Any:
        """What may be sent twice."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout_s
        backoff = Backoff(self._timeout_s)
        while True:
            try:
                return await method(
                    request, metadata=self._metadata, timeout=max(deadline - loop.time(), 0.001)
                )
            except grpc.aio.AioRpcError as failure:
                await _pause(ApiError.of(failure), TRANSIENT, backoff, failure)

    async def _once(self, method: Callable[..., Awaitable[Any]], request: Any) -> Any:
        """What may not."""
        try:
            return await method(request, metadata=self._metadata, timeout=self._timeout_s)
        except grpc.aio.AioRpcError as failure:
            raise ApiError.of(failure) from failure


async def _pause(
    error: ApiError, passing: frozenset[grpc.StatusCode], backoff: Backoff, cause: Exception
) -> None:
    """Wait until the next attempt; raises `error` when there is to be none."""
    pause = backoff.pause(error, asyncio.get_running_loop().time()) if error.code in passing else None
    if pause is None:
        raise error from cause
    await asyncio.sleep(pause)
