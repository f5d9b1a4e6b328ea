"""The one place where audio waits: before the other side is there."""

from __future__ import annotations


class WaitingAudio:
    """μ-law, at most `limit_s` seconds; what does not fit is refused."""

    __slots__ = ("_audio", "_limit", "limit_s")

    def __init__(self, limit_s: int) -> None:
        self.limit_s = limit_s
        self._limit = limit_s * 8000
        self._audio = bytearray()

    def __len__(self) -> int:
        """Samples waiting."""
        return len(self._audio)

    def add(self, ulaw: bytes) -> bool:
        """False: there is no room, nothing was taken."""
        if len(self._audio) + len(ulaw) > self._limit:
            return False
        self._audio += ulaw
        return True

    def take(self) -> bytes:
        """All of it; nothing waits any more."""
        audio, self._audio = bytes(self._audio), bytearray()
        return audio
