"""What both media sockets have in common: whole messages in, bounded writes out, one orderly close.

A leg is the picows listener of its socket and the session's `Leg` at once, so that a frame passes through no
object that is there only for layering.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from time import monotonic_ns

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from media_plane.errors import CloseCode, PeerError

_TEXT = WSMsgType.TEXT
_DATA = (WSMsgType.TEXT, WSMsgType.BINARY)
_CLOSE_TIMEOUT_S = 1.0  # for the peer to answer our close frame
ABNORMAL = 1006  # the socket went without a close frame (RFC 6455, 7.4.1; never sent)


class SocketLeg(WSListener):
    """`on_message` is given every whole message and the time it was read (and may be replaced at any time); a
    PeerError it raises closes the socket with its code. Subclasses say what the socket's end means:
    `on_closed`.

    `high_water`: bytes that may wait in the transport's buffer; while more do, `congested` is true and the
    session drops audio rather than let it grow old.
    """

    send: Callable[[WSMsgType, bytearray, int], None]  # as of Leg

    def __init__(
        self, on_message: Callable[[bytes, int], None], *, max_message: int, high_water: int
    ) -> None:
        self.on_message = on_message
        self.congested = False
        self._max_message = max_message
        self._high_water = high_water
        self._transport: WSTransport | None = None
        self._fragments = bytearray()
        self._whole = True  # a data frame is a message for `on_message`, unless fragments of one are here
        self._silent = False  # we closed, or the end has been told
        self._close_timer: asyncio.TimerHandle | None = None

    # -- for subclasses --

    def on_closed(self, code: int, reason: str, now_ns: int, *, misbehaved: bool) -> None:
        """The socket is gone, not by our `close`; called at most once. `misbehaved`: it was closed because of
        what the peer had sent, and `code` is ours."""
        raise NotImplementedError

    # -- the session's side --

    def send_text(self, message: bytes) -> None:
        if self._transport is not None:
            self._transport.send(_TEXT, message)

    def close(self, code: int, reason: str) -> None:
        self._fall_silent()
        self._send_close(code, reason)

    def _send_close(self, code: int, reason: str) -> None:
        transport = self._transport
        if transport is None or self._close_timer is not None:
            return
        transport.send_close(WSCloseCode(code), reason.encode()[:123].decode(errors="ignore").encode())
        loop = asyncio.get_running_loop()
        self._close_timer = loop.call_later(_CLOSE_TIMEOUT_S, partial(transport.disconnect, False))

    # -- picows' side --

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self.send = transport.send_reuse_external_bytearray
        transport.underlying_transport.set_write_buffer_limits(self._high_water, self._high_water * 3 // 4)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        now_ns = monotonic_ns()
        try:
            if frame.msg_type in _DATA and frame.fin and self._whole:
                on_message = self.on_message
                on_message(frame.get_payload_as_bytes(), now_ns)
            else:
                self._on_other(transport, frame, now_ns)
        except PeerError as error:
            self._tell_closed(error.code, error.reason, now_ns, misbehaved=True)
            self._send_close(error.code, error.reason)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._close_timer is not None:
            self._close_timer.cancel()
        shake = transport.close_handshake
        said = (shake.recv or shake.sent) if shake is not None else None
        code, reason = (said.code.value, said.reason or "") if said is not None else (ABNORMAL, "")
        # Only picows closes without our asking or the peer's: on a frame that breaks the protocol.
        misbehaved = shake is not None and shake.recv is None
        self._tell_closed(code, reason, monotonic_ns(), misbehaved=misbehaved)
        # What this holds of the socket and the call would else be freed by the garbage collector alone.
        self._transport = None
        self.send = self.on_message = _nowhere

    def pause_writing(self) -> None:
        self.congested = True

    def resume_writing(self) -> None:
        self.congested = False

    def _on_other(self, transport: WSTransport, frame: WSFrame, now_ns: int) -> None:
        if self._silent:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()
        elif frame.msg_type == WSMsgType.CLOSE:
            code = frame.get_close_code().value or CloseCode.NORMAL
            self._tell_closed(code, frame.get_close_reason() or "", now_ns, misbehaved=False)
            transport.send_close(WSCloseCode(code) if code in _ECHOED else WSCloseCode.OK)
            transport.disconnect()
        elif frame.msg_type in (*_DATA, WSMsgType.CONTINUATION):
            self._gather(frame, now_ns)

    def _gather(self, frame: WSFrame, now_ns: int) -> None:
        """A message in fragments; none of our peers is known to send one, the protocol lets them."""
        if (frame.msg_type == WSMsgType.CONTINUATION) == self._whole:
            raise PeerError("a fragment out of order")
        if len(self._fragments) + frame.payload_size > self._max_message:
            raise PeerError("message is too big", CloseCode.TOO_BIG)
        self._fragments += frame.get_payload_as_bytes()
        self._whole = frame.fin
        if frame.fin:
            message, self._fragments = bytes(self._fragments), bytearray()
            self.on_message(message, now_ns)

    def _fall_silent(self) -> None:
        self._silent, self._whole = True, False

    def _tell_closed(self, code: int, reason: str, now_ns: int, *, misbehaved: bool) -> None:
        if not self._silent:
            self._fall_silent()
            self.on_closed(code, reason, now_ns, misbehaved=misbehaved)


_ECHOED = {code.value for code in WSCloseCode} - {0, 1006}


def _nowhere(*_: object) -> None:
    """Instead of a socket, or of a session, that is gone."""
