"""Transcript deltas → segments: one segment is what one speaker said in one turn."""

from __future__ import annotations

from dataclasses import dataclass, field

from media_plane.wire.events import Speaker

MAX_TEXT = 64 * 1024  # characters of one segment; more than an hour of speech


@dataclass(slots=True)
class Segment:
    id: int
    speaker: Speaker
    opened_ns: int  # when its first delta came
    parts: list[str] = field(default_factory=list)
    length: int = 0

    @property
    def text(self) -> str:
        return "".join(self.parts).strip()


class Transcript:
    """At most one open segment a speaker. Ids count 1, 2, 3, … over both."""

    __slots__ = ("_last_id", "_open")

    def __init__(self) -> None:
        self._last_id = 0
        self._open: dict[Speaker, Segment] = {}

    def open(self, speaker: Speaker) -> Segment | None:
        return self._open.get(speaker)

    def add(self, speaker: Speaker, text: str, now_ns: int) -> Segment:
        """Append a delta, as the model sent it (words often begin with a space), to the speaker's segment."""
        segment = self._open.get(speaker)
        if segment is None:
            self._last_id += 1
            segment = self._open[speaker] = Segment(self._last_id, speaker, now_ns)
        if segment.length + len(text) <= MAX_TEXT:
            segment.parts.append(text)
            segment.length += len(text)
        return segment

    def close(self, speaker: Speaker) -> Segment | None:
        """End the speaker's segment and hand it out, if there is one."""
        return self._open.pop(speaker, None)
