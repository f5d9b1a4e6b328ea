"""What each session received, sent and decided, with CLOCK_MONOTONIC times.

Comparable with any other process of the same machine that stamps with the same clock.
"""

from __future__ import annotations

from array import array
from collections import deque
from typing import Any, Final, TextIO

import orjson

from bench.sim.gemini.actions import Note

_LIMIT: Final = 50_000  # lines of a session, received audio apart
_AUDIO_LIMIT: Final = 100_000  # received audio chunks: more than half an hour at 20 ms


class SessionLog:
    """One session's lines; beyond the limits the oldest are dropped, and counted."""

    def __init__(self, session_id: str, file: TextIO | None) -> None:
        self._session_id = session_id
        self._file = file
        self._notes: deque[Note] = deque(maxlen=_LIMIT)
        self._audio = array("q")  # t_ns, bytes, t_ns, bytes …: hundreds of sessions send 50 a second
        self.dropped = 0

    def add(self, note: Note) -> None:
        """Take a line."""
        if note.kind == "audio":
            self._audio.extend((note.t_ns, note.fields["bytes"]))
            if len(self._audio) > 2 * _AUDIO_LIMIT:
                del self._audio[:_AUDIO_LIMIT]
                self.dropped += _AUDIO_LIMIT // 2
        else:
            self.dropped += len(self._notes) == _LIMIT
            self._notes.append(note)
        if self._file is not None:
            line = {"session": self._session_id, **_line(note)}
            self._file.write(orjson.dumps(line, default=str).decode() + "\n")

    def lines(self) -> list[dict[str, Any]]:
        """All lines, by time. (Some are about a moment that was understood only later.)"""
        lines = [_line(note) for note in self._notes]
        pairs = zip(self._audio[::2], self._audio[1::2], strict=True)
        lines += [{"t_ns": t_ns, "dir": "<", "kind": "audio", "bytes": size} for t_ns, size in pairs]
        return sorted(lines, key=lambda line: int(line["t_ns"]))


def _line(note: Note) -> dict[str, Any]:
    return {"t_ns": note.t_ns, "dir": note.direction, "kind": note.kind, **note.fields}
