"""Transcript deltas → segments: one segment is what one speaker said in one turn."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from media_plane.call.alignment import Pace, heard_length
from media_plane.wire.events import Speaker

MAX_TEXT = 64 * 1024  # characters of one segment; more than an hour of speech


@dataclass(slots=True)
class Segment:
    id: int
    speaker: Speaker
    opened_ns: int  # when its first delta came
    parts: list[str] = field(default_factory=list)
    # Of each part: samples of the agent's turn that had come by then (LATE: the turn had been cut off), and
    # when it came.
    received: array[int] = field(default_factory=lambda: array("q"))
    came_ns: array[int] = field(default_factory=lambda: array("q"))
    length: int = 0
    loose: int = (
        -1
    )  # the first part that came while no turn's audio did, so it may be the next one's; -1: none

    @property
    def text(self) -> str:
        return "".join(self.parts).strip()

    def add(self, text: str, now_ns: int, received: int, *, loose: bool) -> None:
        if loose and self.loose < 0:
            self.loose = len(self.parts)
        if self.length + len(text) <= MAX_TEXT:
            self.parts.append(text)
            self.received.append(received)
            self.came_ns.append(now_ns)
            self.length += len(text)

    def split(self, heard: int, samples: int, pace: Pace) -> tuple[str, str]:
        """What was heard of it, and what was not: `heard` of the turn's `samples` were played."""
        at = heard_length(self.parts, self.received, heard, samples, pace)
        text = "".join(self.parts)
        return text[:at].strip(), text[at:].strip()

    def first_loose_since(self, since_ns: int) -> int:
        """The first loose part that came after `since_ns`; the number of parts if none did."""
        index = self.loose if self.loose >= 0 else len(self.parts)
        while index < len(self.parts) and self.came_ns[index] <= since_ns:
            index += 1
        return index


class Transcript:
    """At most one open segment a speaker. Ids count 1, 2, 3, … over both."""

    __slots__ = ("_last_id", "_open")

    def __init__(self) -> None:
        self._last_id = 0
        self._open: dict[Speaker, Segment] = {}

    def open(self, speaker: Speaker) -> Segment | None:
        return self._open.get(speaker)

    def add(
        self, speaker: Speaker, text: str, now_ns: int, received: int = 0, *, loose: bool = False
    ) -> Segment:
        """Append a delta, as the model sent it (words often begin with a space), to the speaker's segment."""
        segment = self._open.get(speaker)
        if segment is None:
            segment = self._new(speaker, now_ns)
        segment.add(text, now_ns, received, loose=loose)
        return segment

    def close(self, speaker: Speaker, keep: int | None = None) -> Segment | None:
        """End the speaker's segment and hand it out, if there is one. Of a segment of more than `keep` parts
        the rest begins the next one."""
        segment = self._open.pop(speaker, None)
        if segment is None or keep is None or keep >= len(segment.parts):
            return segment
        if keep == 0:
            self._open[speaker] = segment
            return None
        rest = self._new(speaker, segment.came_ns[keep])
        for text, came_ns in zip(segment.parts[keep:], segment.came_ns[keep:], strict=True):
            rest.add(text, came_ns, 0, loose=True)
        del segment.parts[keep:], segment.received[keep:], segment.came_ns[keep:]
        return segment

    def _new(self, speaker: Speaker, now_ns: int) -> Segment:
        self._last_id += 1
        segment = self._open[speaker] = Segment(self._last_id, speaker, now_ns)
        return segment
