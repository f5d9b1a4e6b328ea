"""What each session received, sent and decided, with CLOCK_MONOTONIC times.

Comparable with any other process of the same machine that stamps with the same clock.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, TextIO

import orjson

from bench.sim.gemini.actions import Note

_LIMIT: Final = 200_000  # lines of a session: more than half an hour of 20 ms frames both ways


class SessionLog:
    """One session's lines, oldest dropped beyond the limit (and counted)."""

    def __init__(self, session_id: str, file: TextIO | None) -> None:
        self._session_id = session_id
        self._file = file
        self._notes: deque[Note] = deque(maxlen=_LIMIT)
        self.dropped = 0

    def add(self, note: Note) -> None:
        """Take a line."""
        self.dropped += len(self._notes) == _LIMIT
        self._notes.append(note)
        if self._file is not None:
            line = {"session": self._session_id, **_line(note)}
            self._file.write(orjson.dumps(line, default=str).decode() + "\n")

    def lines(self) -> list[dict[str, Any]]:
        """All lines, by time. (Some are about a moment that was understood only later.)"""
        return [_line(note) for note in sorted(self._notes, key=lambda note: note.t_ns)]


def _line(note: Note) -> dict[str, Any]:
    return {"t_ns": note.t_ns, "dir": note.direction, "kind": note.kind, **note.fields}
