"""Audio that was sent and may have to be sent again."""

from __future__ import annotations

from collections import deque


class SentAudio:
    """μ-law, by the ledger's count of samples; the newest `limit` samples at most.

    Tell it in order of everything that is sent, of what was played, and when what was sent is no more to
    come.
    """

    __slots__ = ("_end", "_limit", "_parts", "_size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._end = 0

    def __len__(self) -> int:
        """Samples kept."""
        return self._size

    def add(self, ulaw: bytes, end: int) -> None:
        """It was sent, and `end` samples have been sent with it."""
        self._parts.append(ulaw)
        self._size += len(ulaw)
        self._end = end
        while self._size > self._limit:
            self._drop_oldest()

    def played(self, position: int) -> None:
        """All before `position` was."""
        while self._parts and self._end - self._size + len(self._parts[0]) <= position:
            self._drop_oldest()

    def take(self, position: int) -> bytes | None:
        """Everything from `position` on, which is not kept any more; None, and nothing has happened: some of
        it is not there."""
        begin = self._end - self._size
        if position < begin:
            return None
        kept = b"".join(self._parts)[position - begin :]
        self.clear()
        return kept

    def clear(self) -> None:
        self._parts.clear()
        self._size = 0

    def _drop_oldest(self) -> None:
        self._size -= len(self._parts.popleft())
