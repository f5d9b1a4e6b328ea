"""The WebSocket server Twilio's media streams dial: /twilio/ws/media/{workflow_id}/{stream_token}; GET
/health.

Who may in is decided before a session sees a byte. Refusals follow docs/seams.md: a stream nobody waits for
is accepted and closed with 1008, so that Twilio's log shows the reason; a node that can't serve answers HTTP
503.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Callable
from typing import Protocol

import structlog
from picows import (
    WSListener,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

from media_plane.errors import CloseCode
from media_plane.io.socket_leg import SocketLeg
from media_plane.session import CallSession
from media_plane.wire import twilio
from protos.twilio_signing import SETTINGS_HEADER, SIGNATURE_HEADER, Verifier

log = structlog.get_logger(__name__)

_PATH = "/twilio/ws/media/"
_HIGH_WATER = 30 * 11_000  # 30 s of agent audio: a second is 10,667 bytes of base64 and its envelopes
_HANDSHAKE_S = 5.0


class Admission(Protocol):
    """What the server asks about a stream that wants in."""

    draining: bool

    def find(self, workflow_id: str) -> tuple[CallSession, str] | None:
        """The session prepared under this id and the token its stream must present."""

    def refused(self, reason: str) -> None:
        """Count a stream that was not let in."""

    def health(self) -> dict[str, object]: ...


class CallerLeg(SocketLeg):
    """Twilio's socket of one call."""

    def __init__(self, session: CallSession, refused: Callable[[str], None]) -> None:
        super().__init__(session.caller_frame, max_message=twilio.MAX_MESSAGE, high_water=_HIGH_WATER)
        self._session = session
        self._refused = refused

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        self._session.attach_caller(self)  # in one stack with its admission: none came in between

    def on_closed(self, code: int, reason: str, now_ns: int, *, misbehaved: bool) -> None:
        if misbehaved:
            self._refused(_MISBEHAVIOUR.get(code, "protocol"))
            log.warning("stream thrown out", workflow_id=self._session.config.workflow_id, reason=reason)
        self._session.caller_closed(f"{code} {reason}".strip(), now_ns)


class _Refusal(SocketLeg):
    """A socket that is closed as soon as it is open."""

    def __init__(self, reason: str) -> None:
        super().__init__(_ignore, max_message=twilio.MAX_MESSAGE, high_water=_HIGH_WATER)
        self._reason = reason

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        self.close(CloseCode.POLICY, self._reason)


class TwilioServer:
    """Owns the listening socket. `start` returns the port bound. `verifier`: streams must be signed."""

    def __init__(self, admission: Admission, verifier: Verifier | None = None) -> None:
        self._admission = admission
        self._verifier = verifier
        self._server: asyncio.Server | None = None
        self.public_url = ""  # as Twilio dials us; what it signs begins with it

    async def start(self, host: str, port: int) -> int:
        self._server = await ws_create_server(
            self._admit,
            host,
            port,
            websocket_handshake_timeout=_HANDSHAKE_S,
            max_frame_size=twilio.MAX_MESSAGE,
            read_buffer_init_size=4096,
        )
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Take no new sockets; the ones that are open stay."""
        if self._server is not None:
            self._server.close()

    def _admit(self, request: WSUpgradeRequest) -> WSListener | WSUpgradeResponseWithListener | None:
        path = request.path.decode("ascii", "replace").partition("?")[0]
        if path == "/health":
            return _answer(200, self._admission.health())
        if not path.startswith(_PATH):
            return None  # 404
        if self._admission.draining:
            self._admission.refused("draining")
            return _answer(503, {"error": "draining"})
        workflow_id, _, token = path[len(_PATH) :].partition("/")
        if self._verifier is not None:
            headers = request.headers
            signature, settings = headers.get(SIGNATURE_HEADER, ""), headers.get(SETTINGS_HEADER, "")
            if not self._verifier.verify_upgrade(self.public_url + path, signature, settings):
                return self._refuse("signature", workflow_id, "not signed by Twilio")
        found = self._admission.find(workflow_id)
        if found is None:
            return self._refuse("unknown", workflow_id, "no such call is prepared here")
        session, expected = found
        if not hmac.compare_digest(token.encode(), expected.encode()):
            return self._refuse("token", workflow_id, "wrong stream token" if token else "no stream token")
        if not session.takes_stream:
            return self._refuse("second", workflow_id, "the call has its stream already")
        return CallerLeg(session, self._admission.refused)

    def _refuse(self, kind: str, workflow_id: str, reason: str) -> _Refusal:
        self._admission.refused(kind)
        log.warning("stream refused", workflow_id=workflow_id[:128], reason=reason)
        return _Refusal(reason)


def _answer(status: int, body: dict[str, object]) -> WSUpgradeResponseWithListener:
    payload = json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    if status == 200:
        return WSUpgradeResponseWithListener(WSUpgradeResponse.create_ok_response(payload, headers), None)
    return WSUpgradeResponseWithListener(
        WSUpgradeResponse.create_error_response(status, payload, headers | {"Retry-After": "1"}), None
    )


def _ignore(data: bytes, now_ns: int) -> None:
    pass


_MISBEHAVIOUR = {
    int(CloseCode.INVALID_DATA): "garbage",
    int(CloseCode.TOO_BIG): "oversized",
    int(CloseCode.POLICY): "order",
}
