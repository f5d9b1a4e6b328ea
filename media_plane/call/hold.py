"""Whether the agent falls silent at once when somebody speaks over it, before the model has said so. Pure.

The model needs most of a second to notice that it is interrupted. Until then the caller talks against a
voice. So the agent's audio is held as soon as the caller has been audible over it for a moment. If the model
confirms, what was held is dropped; if it does not (a cough, a "mm-hm", a door), the agent goes on with the
next sample.

Judged by level (`speech`), which an echo of the agent may deceive: who was held in vain several times in a
row is not held again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from media_plane.call.speech import CallerSpeech

_LONGEST_NS = 3_000_000_000  # the model confirms within that, or never
_IN_VAIN = 3  # holds in a row that nothing confirmed
_NEARLY_OVER_NS = 200_000_000  # left to play: the answer ends before anybody has confirmed anything


class Move(Enum):
    STAY = auto()
    HOLD = auto()
    GO_ON = auto()


@dataclass(frozen=True, slots=True)
class HoldKnobs:
    after_ns: int  # for which the caller must be audible
    timeout_ns: int = 800_000_000  # without a confirmation, once the caller is silent again


@dataclass(slots=True)
class HoldCounts:
    """Over all calls that were given it; only grow."""

    held: int = 0
    confirmed: int = 0  # by the model's `interrupted`
    in_vain: int = 0  # the agent went on
    impossible: int = 0  # more was sent than can be sent again
    given_up: int = 0  # calls in which it is not tried any more
    held_ns: int = 0


class Hold:
    """Call `step` with every frame of the caller's; then do what it says, and tell it with `held` (or
    `refused`), `gone_on` or `interrupted`. `since_ns`: when the agent was held; 0: it is not."""

    __slots__ = ("_counts", "_dealt_ns", "_knobs", "_row", "_speech", "since_ns")

    def __init__(self, knobs: HoldKnobs, speech: CallerSpeech, counts: HoldCounts) -> None:
        self._knobs = knobs
        self._speech = speech
        self._counts = counts
        self._dealt_ns = 0  # speech that began before is no reason to hold
        self._row = 0  # holds in vain since the last that was confirmed
        self.since_ns = 0

    def step(self, now_ns: int, left_ns: int) -> Move:
        """`left_ns`: how much of what was sent has not been played."""
        speech = self._speech
        if self.since_ns:
            held_ns = now_ns - self.since_ns
            if held_ns >= _LONGEST_NS or (held_ns >= self._knobs.timeout_ns and not speech.speaking):
                return Move.GO_ON
            return Move.STAY
        if left_ns <= 0:
            self._dealt_ns = now_ns  # who spoke first is not who speaks over the other
        elif speech.speaking and left_ns > _NEARLY_OVER_NS and self._row < _IN_VAIN:
            began_ns = speech.started_ns
            if began_ns > self._dealt_ns and speech.stopped_ns - began_ns >= self._knobs.after_ns:
                return Move.HOLD
        return Move.STAY

    def held(self, now_ns: int) -> None:
        self.since_ns = now_ns
        self._counts.held += 1

    def refused(self, now_ns: int) -> None:
        """It can't be done now."""
        self._dealt_ns = now_ns
        self._counts.impossible += 1

    def gone_on(self, now_ns: int) -> None:
        self._end(now_ns)
        self._counts.in_vain += 1
        self._row += 1
        self._counts.given_up += self._row == _IN_VAIN

    def interrupted(self, now_ns: int) -> bool:
        """The model knows that the caller spoke over it. True: the agent was held."""
        self._row = 0
        if not self.since_ns:
            return False
        self._end(now_ns)
        self._counts.confirmed += 1
        return True

    def _end(self, now_ns: int) -> None:
        self._counts.held_ns += now_ns - self.since_ns
        self._dealt_ns = now_ns
        self.since_ns = 0
