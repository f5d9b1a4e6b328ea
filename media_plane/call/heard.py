"""What the caller heard of the agent's words: segments of turns that are over, told once they were played.

A turn is over for the model seconds before the caller has heard it, and the caller may still speak over the
rest. So its segment waits until its last sample has been played, or until it is cut off.
"""

from __future__ import annotations

from collections import deque

from media_plane.call.alignment import Pace
from media_plane.call.playout import Playout
from media_plane.call.transcript import Segment
from media_plane.call.turn import Turn

_DOUBT = 160  # samples: 20 ms, by which the ledger may be off


class Heard:
    """`waiting`: segments of turns that still play, oldest first."""

    __slots__ = ("_pace", "_playout", "waiting")

    def __init__(self, playout: Playout) -> None:
        self.waiting: deque[tuple[Segment, Turn]] = deque()
        self._playout = playout
        self._pace = Pace()

    def settled(self, turn: Turn, now_ns: int) -> bool:
        """Nothing more of it will be heard."""
        if turn.cut:
            return True
        return self._playout.played(now_ns) >= turn.first + turn.samples - _DOUBT

    def cut_off(self, turn: Turn | None, now_ns: int, *, generated: bool, gone: bool = False) -> None:
        """Whatever still plays stops, because the caller interrupts, or is `gone`. Before the playout is
        cleared. `turn`: the current one, of which all has come if it is `generated`."""
        played = self._playout.played_when_gone(now_ns) if gone else self._playout.played(now_ns)
        for _, playing in self.waiting:
            playing.cut_at(played, generated=True)
        if turn is not None and not turn.cut:
            turn.cut_at(played, generated=generated)

    def words(self, segment: Segment | None, turn: Turn) -> tuple[str, str]:
        """What was heard of a settled turn's words, and what was not."""
        if segment is None:
            return "", ""
        heard = turn.heard if turn.cut else turn.samples
        if turn.lost_at >= 0:
            heard = min(heard, turn.lost_at)
        elif not turn.cut:
            self._pace.learn(segment.text, turn.samples)
            return segment.text, ""
        return segment.split(heard, turn.samples, self._pace)

    def cut_words(self, segment: Segment | None, turn: Turn) -> tuple[str, str, int]:
        """What was heard, and what not, of all that was cut off when the current `turn` was; and for how many
        ms it was heard. `segment` is that turn's, as far as it is known."""
        cut = [each for each in self.waiting if each[1].cut]
        words = [self.words(*each) for each in cut] + [self.words(segment, turn)]
        heard_ms = (sum(each.heard for _, each in cut) + max(turn.heard, 0)) // 8
        heard, unheard = (" ".join(filter(None, part)) for part in zip(*words, strict=True))
        return heard, unheard, heard_ms
