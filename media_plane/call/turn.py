"""The agent's turns: when one begins, when it is over, and how long the caller waited for it.

The model's side of a turn (Gemini Live): audio*, generationComplete, turnComplete; or audio*, interrupted,
turnComplete. Transcript deltas may trail all of these, and `interrupted` may come after turnComplete while
the caller still hears the turn. So a turn stays open until what it said has been played and a grace has
passed, or until the next turn's audio comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

GRACE_NS = 300_000_000  # trailing transcript deltas; longer than a network's jitter, shorter than an answer
_STALE_NS = 500_000_000  # audio this soon after `interrupted` is the old turn's: no answer comes that fast


class Phase(Enum):
    SPEAKING = auto()  # its audio comes
    GENERATED = auto()  # all its audio is here
    COMPLETE = auto()  # the model has said turnComplete, or was interrupted


@dataclass(slots=True)
class Turn:
    number: int
    began_ns: int  # first audio written to Twilio; 0: it waits for the stream to start
    caller_stopped_ns: int  # end of what the caller said before; 0: nothing since the last turn
    samples: int = 0  # written or waiting, at 8 kHz
    phase: Phase = Phase.SPEAKING
    interrupted: bool = False
    ended_ns: int = 0  # of an interrupted turn: when its playout was cleared
    first: int = 0  # samples that were sent before it, ever
    heard: int = -1  # samples played, of a turn that was cut off; -1: it was not
    paused_ns: int = 0  # for which it was held, between its first and its last sample
    lost_at: int = -1  # samples before the first piece of it that could not be sent; -1: none was lost

    @property
    def cut(self) -> bool:
        """The caller has not heard all of it, and will not."""
        return self.heard >= 0

    def cut_at(self, played: int, *, generated: bool) -> None:
        """Playing stopped at `played`, of all samples ever sent; `generated`: all of the turn had come."""
        heard = min(max(played - self.first, 0), self.samples)
        if heard < self.samples or not generated:
            self.heard = heard


class Turns:
    """`current` is the agent's open turn, `deadline_ns` when to call `over` at the latest (0: no such time).
    Audio that comes before `stale_until_ns` belongs to a turn the caller has cut off: it must not be played.
    """

    __slots__ = ("_count", "_heard_ns", "_paused_ns", "current", "deadline_ns", "stale_until_ns")

    def __init__(self) -> None:
        self.current: Turn | None = None
        self.deadline_ns = 0
        self._count = 0
        self._paused_ns = 0  # since when what was sent waits again; 0: it does not
        self._heard_ns = 0  # what the caller said until then has been answered
        self.stale_until_ns = 0

    @property
    def generating(self) -> bool:
        """A turn's audio is coming."""
        return self.current is not None and self.current.phase is Phase.SPEAKING

    def begin(self, now_ns: int, caller_stopped_ns: int, *, playing: bool) -> Turn:
        """The first audio of a turn; the one before must have been taken with `over`."""
        assert self.current is None, "a turn begins before the last one is over"
        answers = caller_stopped_ns > self._heard_ns
        self._heard_ns = max(self._heard_ns, caller_stopped_ns)
        self._count += 1
        self.current = Turn(
            number=self._count,
            began_ns=now_ns if playing else 0,
            caller_stopped_ns=caller_stopped_ns if answers else 0,
        )
        self.deadline_ns = 0
        self.stale_until_ns = 0
        return self.current

    def audio_lost(self) -> None:
        """Some of the current turn's audio could not be sent."""
        turn = self.current
        if turn is not None and turn.lost_at < 0:
            turn.lost_at = turn.samples

    def generated(self) -> None:
        if self.current is not None and self.current.phase is Phase.SPEAKING:
            self.current.phase = Phase.GENERATED

    def complete(self, now_ns: int, played_ns: int) -> None:
        """turnComplete; `played_ns`: when all that was sent will have been played."""
        self.stale_until_ns = 0
        turn = self.current
        if turn is None or turn.phase is Phase.COMPLETE:
            return
        turn.phase = Phase.COMPLETE
        if turn.began_ns and not self._paused_ns:
            self.deadline_ns = max(now_ns, played_ns) + GRACE_NS

    def pause(self, now_ns: int) -> None:
        """What was sent and not played waits again, until it is `released`, or the turn interrupted."""
        self._paused_ns = now_ns
        self.deadline_ns = 0

    def released(self, now_ns: int, caller_stopped_ns: int, played_ns: int) -> int:
        """What waited is written now, and will have been played at `played_ns`. A turn of which nothing was
        written before answers the caller if he has spoken. Returns for how long it had been paused."""
        paused_ns = now_ns - self._paused_ns if self._paused_ns else 0
        self._paused_ns = 0
        turn = self.current
        if turn is None:
            return paused_ns
        if turn.began_ns:
            turn.paused_ns += paused_ns
        else:
            turn.began_ns = now_ns
            if caller_stopped_ns > self._heard_ns:
                turn.caller_stopped_ns = self._heard_ns = caller_stopped_ns
        if turn.phase is Phase.COMPLETE:
            self.deadline_ns = played_ns + GRACE_NS
        return paused_ns

    def interrupt(self, now_ns: int) -> Turn | None:
        """The caller spoke over the agent. The turn cut off, or None when there was nothing to cut off."""
        self._paused_ns = 0
        turn = self.current
        if turn is None or turn.interrupted:
            return None
        if turn.phase is Phase.SPEAKING:
            self.stale_until_ns = now_ns + _STALE_NS
        turn.interrupted = True
        turn.phase = Phase.COMPLETE
        turn.ended_ns = now_ns
        self.deadline_ns = now_ns + GRACE_NS
        return turn

    def over(self) -> Turn | None:
        """Take the open turn, whatever its phase."""
        turn, self.current = self.current, None
        self.deadline_ns = 0
        return turn
