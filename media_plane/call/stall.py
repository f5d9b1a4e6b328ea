"""The words of the stall ladder: why the model is silent when it should speak, what is done about it, and
what came of it. `call.stall_watch` climbs it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final

from media_plane.call.reply_times import ReplyBook

_S = 1_000_000_000


class Cause(Enum):
    """What the caller waits for."""

    GREETING = "no_greeting"  # the model was asked to greet
    NO_REPLY = "no_reply"  # the caller has finished
    EMPTY_TURN = "empty_turn"  # the same, and the model says that its turn is complete
    PHANTOM = "phantom_interrupted"  # the model took itself for interrupted, though nobody spoke
    BROKE_OFF = "broke_off"  # its audio stopped in the middle of an answer
    TOOL = "tool_unused"  # a function has answered it


class Rung(Enum):
    """From the least that can be done to the most."""

    NUDGE = "nudge"  # a text asks the model to go on
    RESUME = "resume"  # another session, with the memory of this one
    FRESH = "fresh"  # another session, told what was said
    HOLD = "hold"  # the caller is asked to wait, without the model
    END = "end"  # the caller is told that it does not work, and the call ends


class Outcome(Enum):
    """Of a rung, when the next one is taken at the latest."""

    RECOVERED = "recovered"  # the agent spoke
    IN_VAIN = "in_vain"
    IMPOSSIBLE = "impossible"  # it could not be taken: there was nothing to resume, no line to play
    FALSE_ALARM = "false_alarm"  # an answer was on its way; the rung has only delayed it
    DECLINED = "declined"  # the agent, which may stay silent, has nothing to say


LADDER: Final = (Rung.NUDGE, Rung.RESUME, Rung.FRESH, Rung.HOLD)
# How often in a call. Each costs the service a session, or the caller a sentence they did not wait for.
BUDGET: Final[Mapping[Rung, int]] = MappingProxyType(
    {Rung.NUDGE: 20, Rung.RESUME: 6, Rung.FRESH: 6, Rung.HOLD: 4, Rung.END: 1}
)


@dataclass(frozen=True, slots=True)
class StallRules:
    """Of one call. `rungs`: what may be done, in this order."""

    rungs: tuple[Rung, ...] = LADDER
    wait_min_ns: int = 2 * _S  # for an answer, however fast the model has been lately
    wait_max_ns: int = 8 * _S  # however slow
    gap_ns: int = 1_500_000_000  # of silence in the middle of an answer
    renewal_ns: int = 3 * _S  # for another session to be there
    may_stay_silent: bool = False  # the agent is meant to leave unanswered what is not said to it
    more_turns: bool = False  # the model may follow a turn in which it says nothing by one in which it does
    budget: Mapping[Rung, int] = field(default_factory=lambda: BUDGET)


@dataclass(frozen=True, slots=True)
class Climb:
    """A rung is to be taken now. `silent_ms`: how long the caller has waited. `again`: the same rung was
    taken before, its session is there, and is now asked to go on."""

    rung: Rung
    cause: Cause
    silent_ms: int
    again: bool = False


@dataclass(frozen=True, slots=True)
class Over:
    """A stall is over, `rung` was the last one taken."""

    rung: Rung
    cause: Cause
    outcome: Outcome
    silent_ms: int


@dataclass(slots=True)
class StallCounts:
    """Over all calls that were given it; only grow. `declined`: answers that an agent which may stay silent
    left out; `silent_ms`: of callers' waiting, in stalls that are over."""

    stalls: Counter[Cause] = field(default_factory=Counter)
    rungs: Counter[tuple[Cause, Rung, Outcome]] = field(default_factory=Counter)
    declined: int = 0
    silent_ms: int = 0


@dataclass(frozen=True, slots=True)
class StallBook:
    """What a process's calls share."""

    times: ReplyBook = field(default_factory=ReplyBook)
    counts: StallCounts = field(default_factory=StallCounts)
