"""HTTP that connects where the check looked: the name is resolved once, and the connection goes to the
address that was found good. A name that answers differently the second time (DNS rebinding) is never asked a
second time. TLS still verifies the name: it is sent as SNI, and the certificate must be its own.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address

import httpx2 as httpx

from control_plane.tools import addresses
from control_plane.tools.urls import Target, ToolRefused, UrlPolicy, check

RESOLVE_S = 2.0
CONNECT_S = 3.0
MAX_ADDRESSES = 3  # of a name, tried in turn

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of `host`, as the system finds them. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class PinnedTransport(httpx.AsyncBaseTransport):
    """Every request of it is checked by `policy`, resolved, checked again, and sent to what was checked.

    Connections are not kept: one to an address must not serve another name of that address, whose certificate
    was never looked at.

    Raises (from requests): ToolRefused; httpx's own errors.
    """

    def __init__(
        self, policy: UrlPolicy, *, ssl_context: ssl.SSLContext | None = None, resolver: Resolve = resolve
    ) -> None:
        self._policy = policy
        self._resolve = resolver
        self._http = httpx.AsyncHTTPTransport(
            verify=ssl_context or ssl.create_default_context(),
            trust_env=False,
            http1=True,
            http2=False,
            limits=httpx.Limits(max_keepalive_connections=0, max_connections=None),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        target = check(str(request.url), self._policy)
        failure: Exception | None = None
        for address in (await self._addresses(target))[:MAX_ADDRESSES]:
            # The Host header was made from the URL's name already.
            pinned = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": target.host},
            )
            try:
                return await self._http.handle_async_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if _is_tls(error):
                    raise ToolRefused(f"TLS: {error}") from error
                failure = error  # nothing was sent: the next address may be asked
        assert failure is not None, "a name without addresses is refused"
        raise failure

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _addresses(self, target: Target) -> list[str]:
        """Raises ToolRefused when any of them is one we must not ask."""
        try:
            spelled = addresses.literal(target.host)
            if spelled is not None:
                found: Sequence[str] = [str(spelled)]
            else:
                async with asyncio.timeout(RESOLVE_S):
                    found = await self._resolve(target.host, target.port)
        except (OSError, TimeoutError, UnicodeError) as error:
            raise ToolRefused(f"{target.host} can't be resolved: {error or 'no answer in time'}") from error
        if not found:
            raise ToolRefused(f"{target.host} has no address")
        if not target.trusted:
            for each in found:
                if reason := addresses.refusal(ip_address(each)):
                    raise ToolRefused(f"{target.host} leads to {reason}")
        return list(found)


def _is_tls(error: BaseException | None) -> bool:
    """The peer was reached, but is not who its name says, or speaks no TLS."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False
