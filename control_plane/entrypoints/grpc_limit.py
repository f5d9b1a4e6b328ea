"""The rate limit of the gRPC API: the same allowance as over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc

from control_plane.domain import principal
from control_plane.errors import TooManyRequests
from control_plane.service.limits import RequestLimit

_Context = grpc.aio.ServicerContext[Any, Any]
if TYPE_CHECKING:
    _Handler = grpc.RpcMethodHandler[Any, Any]  # generic for the type checker alone


class RateLimit(grpc.aio.ServerInterceptor):
    """Inside of authentication: who asks is known. What asks for no credential is not counted."""

    def __init__(self, limit: RequestLimit) -> None:
        self._limit = limit

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        handler = await continuation(handler_call_details)
        if handler is None or handler.request_streaming:  # reflection
            return handler
        if handler.response_streaming:
            answers: Any = handler.unary_stream

            async def stream(request: Any, context: _Context) -> AsyncIterator[Any]:
                await self._take()
                async with aclosing(answers(request, context)) as items:
                    async for item in items:
                        yield item

            return grpc.unary_stream_rpc_method_handler(
                stream, handler.request_deserializer, handler.response_serializer
            )
        answer_once: Any = handler.unary_unary

        async def once(request: Any, context: _Context) -> Any:
            await self._take()
            return await answer_once(request, context)

        return grpc.unary_unary_rpc_method_handler(
            once, handler.request_deserializer, handler.response_serializer
        )

    async def _take(self) -> None:
        """Raises TooManyRequests."""
        asker = principal.current()
        if asker is principal.NOBODY:
            return
        allowance = await self._limit.take(asker.id)
        if allowance is not None and not allowance.allowed:
            raise TooManyRequests(
                f"more than {allowance.limit} requests in {allowance.window_s} s",
                retry_after_s=max(allowance.reset_s, 1),
            )
