"""Every gRPC request says who sends it before a method sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import grpc

from control_plane.auth import access
from control_plane.auth.authenticator import Asker, Authenticator
from control_plane.domain.principal import Scope, act_as

_Context = grpc.aio.ServicerContext[Any, Any]
if TYPE_CHECKING:
    _Handler = grpc.RpcMethodHandler[Any, Any]  # generic for the type checker alone


class Authentication(grpc.aio.ServerInterceptor):
    """Puts the principal in place (`domain.principal`) before anything that asks for it.

    Methods are asked for what `auth.access` says. Raises what `Authenticator.principal` does, for the guard
    around it to answer with.
    """

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        handler = await continuation(handler_call_details)
        needed = access.of_rpc(_text(handler_call_details.method))
        if handler is None or needed is None:
            return handler
        asks = "stream" if handler.request_streaming else "unary"
        tells = "stream" if handler.response_streaming else "unary"
        behaviour: Any = getattr(handler, f"{asks}_{tells}")

        async def once(request: Any, context: _Context) -> Any:
            await self._authenticate(context, needed)
            return await behaviour(request, context)

        async def stream(request: Any, context: _Context) -> AsyncIterator[Any]:
            await self._authenticate(context, needed)
            async with aclosing(behaviour(request, context)) as answers:
                async for answer in answers:
                    yield answer

        make = getattr(grpc, f"{asks}_{tells}_rpc_method_handler")
        made: _Handler = make(
            stream if handler.response_streaming else once,
            handler.request_deserializer,
            handler.response_serializer,
        )
        return made

    async def _authenticate(self, context: _Context, needed: Scope) -> None:
        metadata = [(_text(name), _text(value)) for name, value in context.invocation_metadata() or ()]
        asker = Asker(
            address=address(context.peer()),
            headers=dict(metadata),
            authorization=[value for name, value in metadata if name == "authorization"],
        )
        # One task answers one request, so this needs no end.
        act_as(await self._authenticator.principal(asker, needed))


def address(peer: str) -> str:
    """The address in what gRPC says of a peer: `ipv4:127.0.0.1:50000`, `ipv6:%5B::1%5D:50000`."""
    kind, _, rest = unquote(peer).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return peer
    return rest.rpartition(":")[0].strip("[]")


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
