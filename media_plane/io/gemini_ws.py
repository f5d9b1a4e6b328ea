"""The WebSocket to Gemini Live: connect, set up, then hand every frame to the session.

The hot path speaks the wire itself (`wire.gemini`); google-genai supplies only the setup message. No pings
are sent: the service is known to take 8-30 s to answer them.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from time import monotonic_ns
from typing import Protocol
from urllib.parse import urlsplit

from picows import WSError, WSHandshakeError, WSTransport, ws_connect

from media_plane.errors import CloseCode, ModelFailure, PeerError
from media_plane.io.socket_leg import ABNORMAL, SocketLeg
from media_plane.leg import Leg
from media_plane.wire import gemini

_CONNECT_S = 10.0
_HIGH_WATER = 5 * 47_000  # 5 s of caller audio: a second is fifty messages of 937 bytes
_PATH = "/ws/google.ai.generativelanguage.{version}.GenerativeService.BidiGenerateContent"


class ModelUser(Protocol):
    """The session, as this file sees it."""

    def model_ready(self, leg: Leg, connect_ms: int, setup_ms: int, now_ns: int) -> None: ...
    def model_frame(self, data: bytes, now_ns: int) -> None: ...
    def model_closed(self, failure: ModelFailure, now_ns: int) -> None: ...


@dataclass(frozen=True)
class GeminiEndpoint:
    """Where the service is, and how to get in."""

    base_url: str  # http(s)://host[:port]
    api_version: str
    api_key: str
    setup_timeout_s: float
    # None: the system's trust, read from disk for every connection.
    ssl_context: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        parts = urlsplit(self.base_url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        return f"{scheme}://{parts.netloc}{parts.path}" + _PATH.format(version=self.api_version)


class ModelLeg(SocketLeg):
    """The model's socket of one call."""

    def __init__(self, user: ModelUser, setup: bytes) -> None:
        super().__init__(self._on_setup, max_message=gemini.MAX_MESSAGE, high_water=_HIGH_WATER)
        self._user = user
        self._setup = setup
        self._began_ns = monotonic_ns()
        self._sent_ns = 0
        self._connect_ms = 0
        self.ready: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        self._sent_ns = monotonic_ns()
        self._connect_ms = (self._sent_ns - self._began_ns) // 1_000_000
        self.send_text(self._setup)

    def _on_setup(self, data: bytes, now_ns: int) -> None:
        """The first frame. What follows in the same read must find the session ready, hence no await
        between."""
        message = gemini.parse(data)
        if not message.setup_complete:
            raise PeerError("the first frame is not setupComplete")
        if self.ready.done():  # timed out or given up in this very moment
            return
        setup_ms = (now_ns - self._sent_ns) // 1_000_000
        self.on_message = self._user.model_frame
        self._user.model_ready(self, self._connect_ms, setup_ms, now_ns)
        self.ready.set_result((self._connect_ms, setup_ms))

    def on_closed(self, code: int, reason: str, now_ns: int, *, misbehaved: bool) -> None:
        failure = closed(code, reason)
        if self.ready.done():
            self._user.model_closed(failure, now_ns)
        else:
            self.ready.set_exception(failure)


async def open_session(endpoint: GeminiEndpoint, user: ModelUser, setup: bytes) -> tuple[int, int]:
    """Connect and set up; `user.model_ready` has been called when this returns (connect_ms, setup_ms).

    Raises:
        ModelFailure: no connection, refused upgrade, refused setup, or no answer in time.
    """
    leg = ModelLeg(user, setup)
    try:
        async with asyncio.timeout(_CONNECT_S):
            await ws_connect(
                lambda: leg,
                endpoint.url,
                ssl_context=endpoint.ssl_context,
                websocket_handshake_timeout=_CONNECT_S,
                extra_headers={"x-goog-api-key": endpoint.api_key},
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
    try:
        async with asyncio.timeout(endpoint.setup_timeout_s):
            return await leg.ready
    except TimeoutError:
        raise ModelFailure(0, "no setupComplete in time", retryable=True) from None
    finally:
        if not (leg.ready.done() and not leg.ready.cancelled() and leg.ready.exception() is None):
            leg.close(CloseCode.NORMAL, "")


def closed(code: int, reason: str) -> ModelFailure:
    """What a close of the service's means; the code alone does not tell, the reason must be read."""
    text = reason.lower()
    if code in (1011, 1008) and any(word in text for word in ("credit", "billing", "leaked")):
        retryable = False
    elif code == CloseCode.POLICY:
        retryable = "aborted" in text
    else:
        retryable = code in _RETRYABLE
    return ModelFailure(code, reason or _SILENT.get(code, "closed by the model"), retryable=retryable)


def _refused(error: WSHandshakeError) -> ModelFailure:
    status = int(error.response.status) if error.response is not None else 0
    body = (error.raw_body or b"")[:200].decode("utf-8", "replace").strip()
    reason = f"upgrade refused with HTTP {status}: {body}" if status else str(error)
    return ModelFailure(status, reason, retryable=status == 0 or status == 429 or status >= 500)


_RETRYABLE = frozenset({1001, 1005, ABNORMAL, 1011, 1012, 1013, 1014})
_SILENT = {ABNORMAL: "the connection was lost", 1000: "the model closed the session"}
