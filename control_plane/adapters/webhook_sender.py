"""One webhook, sent once: a signed POST to a URL that we may ask. Implements `service.webhook_ports`.

The signature is that of requests to tools (control_plane/tools/signing.py), with WEBHOOK_SIGNING_SECRET; it
covers the time of the attempt, so a receiver that looks at both refuses what is sent again by somebody else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import httpx2 as httpx

from control_plane.service.webhook_ports import Delivery, Outcome
from control_plane.tools import signing
from control_plane.tools.urls import ToolRefused

ANSWER_S = 10.0
CONNECT_S = 3.0
_GONE = 410


class HttpWebhooks:
    """Sends over `transport`, which decides what may be reached.

    Args:
        secret: empty: requests are not signed.
    """

    def __init__(
        self, transport: httpx.AsyncBaseTransport, *, secret: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = httpx.AsyncClient(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            headers={"User-Agent": "voiceplane", "Content-Type": "application/json"},
        )
        self._secret = secret
        self._clock = clock

    async def send(self, delivery: Delivery, attempt: int) -> Outcome:
        body = delivery.body.encode()
        headers = {
            "X-Voiceplane-Event": delivery.event,
            "X-Voiceplane-Delivery": delivery.id,
            "X-Voiceplane-Attempt": str(attempt),
        }
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        request = self._client.build_request(
            "POST", delivery.url, content=body, headers=headers, timeout=timeout
        )
        if self._secret:
            now = int(self._clock())
            target = request.url.raw_path.decode("ascii")
            request.headers[signing.TIMESTAMP] = str(now)
            request.headers[signing.SIGNATURE] = signing.sign(self._secret, now, "POST", target, body)
        try:
            async with asyncio.timeout(ANSWER_S):
                # Only the status matters; of what else is said, nothing is read.
                answer = await self._client.send(request, stream=True)
                await answer.aclose()
        except ToolRefused as error:
            return Outcome(0, str(error), final=True)
        except TimeoutError:
            return Outcome(0, f"no answer within {ANSWER_S:.0f} s")
        except httpx.TransportError as error:
            return Outcome(0, f"{type(error).__name__}: {error}")
        status = answer.status_code
        return Outcome(status, "" if answer.is_success else f"HTTP {status}", final=status == _GONE)

    async def close(self) -> None:
        await self._client.aclose()
