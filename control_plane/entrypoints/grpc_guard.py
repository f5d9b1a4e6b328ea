"""What every gRPC request passes: whatever is sent, a method answers with a status that fits, in time.

- Bytes that are no message of the method's are INVALID_ARGUMENT, and not the library's INTERNAL.
- Our errors get their status and details; a bug is logged, and INTERNAL without a word of it.
- The client's deadline bounds everything that is done for it.
- A reader who takes nothing for a minute is let go.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc
import structlog
from google.protobuf.message import DecodeError

from control_plane import metrics
from control_plane.entrypoints.grpc_errors import abort, code_of
from control_plane.errors import ControlPlaneError, InvalidField

log = structlog.get_logger(__name__)

OURS = "/voiceplane."
WRITE_S = 60.0

_Context = grpc.aio.ServicerContext[Any, Any]
if TYPE_CHECKING:
    _Handler = grpc.RpcMethodHandler[Any, Any]  # generic for the type checker alone
_Unary = Callable[[Any, _Context], Awaitable[Any]]
_Stream = Callable[[Any, _Context], AsyncGenerator[Any]]


class _Undecodable:
    """Stands for a request whose bytes are no message."""


class SlowReader(ControlPlaneError):
    """The client has taken nothing for as long as we wait."""


class Guard(grpc.aio.ServerInterceptor):
    """The outermost interceptor."""

    def __init__(self, *, write_s: float = WRITE_S) -> None:
        self._write_s = write_s

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        handler: Any = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if handler is None or not method.startswith(OURS):
            return handler  # type: ignore[no-any-return]
        decode = _tolerant(handler.request_deserializer)
        name = method.rpartition("/")[2]
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                self._unary(name, handler.unary_unary),
                request_deserializer=decode,
                response_serializer=handler.response_serializer,
            )
        assert handler.unary_stream is not None, f"{method}: clients send one message, no stream"
        return grpc.unary_stream_rpc_method_handler(
            self._stream(name, handler.unary_stream),
            request_deserializer=decode,
            response_serializer=handler.response_serializer,
        )

    def _unary(self, name: str, behaviour: _Unary) -> _Unary:
        async def answer(request: Any, context: _Context) -> Any:
            async def run() -> Any:
                return await behaviour(request, context)

            return await self._guarded(name, request, context, run)

        return answer

    def _stream(self, name: str, behaviour: _Stream) -> Callable[[Any, _Context], Awaitable[None]]:
        async def answer(request: Any, context: _Context) -> None:
            async def run() -> None:
                # Closed at once when the reader goes, not when the collector comes by.
                async with aclosing(behaviour(request, context)) as items:
                    async for item in items:
                        try:
                            async with asyncio.timeout(self._write_s):
                                await context.write(item)
                        except TimeoutError as error:
                            raise SlowReader(f"nothing was taken for {self._write_s:.0f} s") from error

            await self._guarded(name, request, context, run)

        return answer

    async def _guarded(
        self, name: str, request: Any, context: _Context, run: Callable[[], Awaitable[Any]]
    ) -> Any:
        code = grpc.StatusCode.CANCELLED  # what a request that is cancelled counts as
        try:
            async with asyncio.timeout(context.time_remaining()):
                if isinstance(request, _Undecodable):
                    raise InvalidField({"": "the request is no message of this method's"})
                answer = await run()
            code = grpc.StatusCode.OK
            return answer
        except TimeoutError:
            code = grpc.StatusCode.DEADLINE_EXCEEDED
            await context.abort(code, "the deadline has passed")
        except SlowReader as error:
            code = grpc.StatusCode.ABORTED
            await context.abort(code, str(error))
        except ControlPlaneError as error:
            code = code_of(error)
            if code is grpc.StatusCode.INTERNAL:
                log.error("request failed", method=name, exc_info=error)
            await abort(context, error)
        except grpc.aio.AbortError:
            code = context.code()
            raise
        except Exception as error:
            # The last place where a bug can be kept from telling the caller how it looks inside.
            code = grpc.StatusCode.INTERNAL
            log.error("request failed", method=name, exc_info=error)
            await context.abort(code, "internal error")
        finally:
            metrics.GRPC_REQUESTS.labels(name, code.name).inc()


def _tolerant(decode: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    assert decode is not None, "generated services decode their requests"

    def decoded(data: bytes) -> Any:
        try:
            return decode(data)
        except DecodeError:
            return _Undecodable()

    return decoded
