"""The WebSocket to Gemini Live: connect and set up; `io.model_leg` is the socket itself.

The hot path speaks the wire itself (`wire.gemini`); google-genai supplies only the setup message. No pings
are sent: the service is known to take 8-30 s to answer them.
"""

from __future__ import annotations

import asyncio
import ssl

from picows import WSError, WSHandshakeError, ws_connect

from media_plane.errors import CloseCode, ModelFailure
from media_plane.io.gemini_endpoint import GeminiEndpoint
from media_plane.io.model_leg import ModelLeg, ModelUser
from media_plane.wire import gemini

_CONNECT_S = 10.0
NO_SETUP = "no setupComplete in time"


async def connect(endpoint: GeminiEndpoint, leg: ModelLeg) -> None:
    """TCP, TLS and the upgrade; nothing is sent. The leg is closed when it does not come to that.

    Raises:
        ModelFailure: no credentials, no connection in time, or a refused upgrade.
    """
    try:
        async with asyncio.timeout(_CONNECT_S):
            await ws_connect(
                lambda: leg,
                endpoint.url,
                ssl_context=endpoint.ssl_context,
                websocket_handshake_timeout=_CONNECT_S,
                extra_headers=endpoint.headers(),
                max_frame_size=gemini.MAX_MESSAGE,
                max_redirects=0,
                read_buffer_init_size=8192,
            )
    except WSHandshakeError as error:
        raise _refused(error) from None
    except TimeoutError:
        raise ModelFailure(0, "no connection in time", retryable=True) from None
    except ssl.SSLCertVerificationError as error:
        raise ModelFailure(0, f"no connection: {error}", retryable=False) from None
    except (OSError, WSError) as error:
        raise ModelFailure(0, f"no connection: {error}", retryable=True) from None
    finally:
        if not leg.connected_ns:  # the upgrade goes on without us, and may yet succeed
            leg.close(CloseCode.NORMAL, "")


async def set_up(endpoint: GeminiEndpoint, leg: ModelLeg, setup: bytes, user: ModelUser | None = None) -> int:
    """Send the setup on a connected leg and wait for setupComplete; returns setup_ms. With a `user`,
    `user.model_ready` has been called when this returns. The leg is closed when it does not come to that.

    Raises:
        ModelFailure: refused, or no answer in time.
    """
    leg.set_up(setup, user)
    try:
        async with asyncio.timeout(endpoint.setup_timeout_s):
            return await leg.ready
    except TimeoutError:
        raise ModelFailure(0, NO_SETUP, retryable=True) from None
    finally:
        if not (leg.ready.done() and not leg.ready.cancelled() and leg.ready.exception() is None):
            leg.close(CloseCode.NORMAL, "")


async def open_session(endpoint: GeminiEndpoint, user: ModelUser, setup: bytes) -> tuple[int, int]:
    """`connect` and `set_up`; returns (connect_ms, setup_ms).

    Raises:
        ModelFailure: no connection, refused upgrade, refused setup, or no answer in time.
    """
    leg = ModelLeg()
    await connect(endpoint, leg)
    setup_ms = await set_up(endpoint, leg, setup, user)
    return leg.connect_ms, setup_ms


def _refused(error: WSHandshakeError) -> ModelFailure:
    status = int(error.response.status) if error.response is not None else 0
    body = (error.raw_body or b"")[:200].decode("utf-8", "replace").strip()
    reason = f"upgrade refused with HTTP {status}: {body}" if status else str(error)
    return ModelFailure(status, reason, retryable=status == 0 or status == 429 or status >= 500)
