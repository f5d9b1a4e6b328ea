"""A socket as the session sees it."""

from __future__ import annotations

from typing import Protocol


class Leg(Protocol):
    """One of a session's two sockets. `congested`: more waits in it than its bound allows."""

    congested: bool

    def send(self, buffer: bytearray, offset: int) -> None:
        """Write `buffer[offset:]` as one text message now. The bytes may be scrambled afterwards."""

    def send_text(self, message: bytes) -> None:
        """Write a whole text message now."""

    def close(self, code: int, reason: str) -> None:
        """Close in an orderly way. Nothing of this leg is told to the session after that."""
