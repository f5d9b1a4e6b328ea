"""A socket as the session sees it."""

from __future__ import annotations

from typing import Final, Protocol

from picows import WSMsgType

TEXT: Final = WSMsgType.TEXT


class Leg(Protocol):
    """One of a session's two sockets. `congested`: more waits in it than its bound allows."""

    @property
    def congested(self) -> bool: ...

    def send(self, kind: WSMsgType, buffer: bytearray, offset: int) -> None:
        """Write `buffer[offset:]` as one message now. The bytes may be scrambled afterwards.

        It takes `kind`, always TEXT, so that a socket's own method can stand here with nothing between.
        """

    def send_text(self, message: bytes) -> None:
        """Write a whole text message now."""

    def close(self, code: int, reason: str) -> None:
        """Close in an orderly way. Nothing of this leg is told to the session after that."""
