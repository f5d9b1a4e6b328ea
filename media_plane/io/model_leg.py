"""The model's socket: bare, then set up, then handed to the session of a call.

A leg may be opened before there is a call for it (io.gemini_pool). Until it is handed over, what the service
says is kept for the session, and a goAway or a close is told to whoever watches. From then on every frame
goes straight to the session: `on_message` is the session's own method.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import monotonic_ns
from typing import Protocol

from picows import WSTransport

from media_plane.errors import CloseCode, ModelFailure, PeerError
from media_plane.io.socket_leg import ABNORMAL, SocketLeg
from media_plane.leg import Leg
from media_plane.wire import gemini

_HIGH_WATER = 5 * 47_000  # 5 s of caller audio: a second is fifty messages of 937 bytes
_KEPT = 64  # messages for a session that has no call yet; the service sends one or two, it speaks when asked
GO_AWAY = ModelFailure(CloseCode.GOING_AWAY, "the model will close the connection", retryable=True)


class ModelUser(Protocol):
    """The session, as this file sees it."""

    def model_ready(self, leg: Leg, connect_ms: int, setup_ms: int, now_ns: int) -> None: ...
    def model_frame(self, data: bytes, now_ns: int, /) -> None: ...
    def model_closed(self, failure: ModelFailure, now_ns: int) -> None: ...


def _unwatched(leg: ModelLeg, failure: ModelFailure) -> None:
    """A socket that ends between connection and setup is found out by who sends the setup."""


class ModelLeg(SocketLeg):
    """Connect it, `set_up`, await `ready` (setup_ms, or ModelFailure); with a user given it has been handed
    over by then, else `hand_over` does it.

    `lost` is called, at most once, when the socket ends or is about to while it waits for a call.
    """

    def __init__(self, lost: Callable[[ModelLeg, ModelFailure], None] = _unwatched) -> None:
        super().__init__(self._before_setup, max_message=gemini.MAX_MESSAGE, high_water=_HIGH_WATER)
        self.connect_ms = 0
        self.connected_ns = 0  # 0: not yet
        self.ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._began_ns = monotonic_ns()
        self._sent_ns = 0
        self._user: ModelUser | None = None
        self._lost = lost
        self._kept: list[bytes] = []

    @property
    def alive(self) -> bool:
        """Open as far as is known."""
        return self._transport is not None and not self._silent

    def set_up(self, setup: bytes, user: ModelUser | None = None) -> None:
        """Send the first message. `user` is given the session in the very call stack of setupComplete."""
        self._user = user
        self._sent_ns = monotonic_ns()
        self.on_message = self._on_setup
        self.send_text(setup)

    def hand_over(self, user: ModelUser, connect_ms: int, setup_ms: int, now_ns: int) -> None:
        """From now on the session is `user`'s; the times are what its call has waited."""
        self._user = user
        self._lost = _unwatched
        self.on_message = user.model_frame
        kept, self._kept = self._kept, []
        user.model_ready(self, connect_ms, setup_ms, now_ns)
        for data in kept:
            user.model_frame(data, now_ns)

    async def gone(self, within_s: float) -> None:
        """Wait until the socket is closed; not for long."""
        transport = self._transport
        if transport is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await transport.wait_disconnected()

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        if self._silent:  # closed before it was open: who asked for it has gone
            transport.disconnect()
            return
        self.connected_ns = monotonic_ns()
        self.connect_ms = (self.connected_ns - self._began_ns) // 1_000_000

    def _before_setup(self, data: bytes, now_ns: int) -> None:
        raise PeerError("a frame before setup")

    def _on_setup(self, data: bytes, now_ns: int) -> None:
        """The first frame. What follows in the same read must find the session ready, hence no await
        between."""
        message = gemini.parse(data)
        if message.go_away_ms >= 0 and not message.setup_complete:
            self._kept.append(data)  # a socket that waited for long: the session will have to hurry
            return
        if not message.setup_complete:
            raise PeerError("the first frame is not setupComplete")
        if self.ready.done():  # timed out or given up in this very moment
            return
        setup_ms = (now_ns - self._sent_ns) // 1_000_000
        if self._user is not None:
            self.hand_over(self._user, self.connect_ms, setup_ms, now_ns)
        else:
            self.on_message = self._keep
        self.ready.set_result(setup_ms)

    def _keep(self, data: bytes, now_ns: int) -> None:
        """A message for the call that will come: a resumption handle, most likely."""
        if gemini.parse(data).go_away_ms >= 0:
            self._tell_lost(GO_AWAY)
        elif len(self._kept) < _KEPT:
            self._kept.append(data)
        else:
            raise PeerError("too many messages before a question")

    def on_closed(self, code: int, reason: str, now_ns: int, *, misbehaved: bool) -> None:
        failure = closed(code, reason)
        if self._sent_ns and not self.ready.done():
            self.ready.set_exception(failure)
        elif self._user is not None:
            self._user.model_closed(failure, now_ns)
        else:
            self._tell_lost(failure)

    def _tell_lost(self, failure: ModelFailure) -> None:
        lost, self._lost = self._lost, _unwatched
        lost(self, failure)


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


_RETRYABLE = frozenset({1001, 1005, ABNORMAL, 1011, 1012, 1013, 1014})
_SILENT = {ABNORMAL: "the connection was lost", 1000: "the model closed the session"}
