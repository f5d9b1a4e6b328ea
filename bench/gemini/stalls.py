"""`python -m bench.gemini.stalls`: a model falls silent; how soon is it noticed, and what brings it back?

Calls of twelve turns in virtual time (bench.gemini.stalls_world): the wire, the delays and the frames are the
real ones, only nobody waits for them. Each kind of stall strikes 5, 20 and 50 % of the turns. Of the stalls,
70 % are the turn's alone, so that a nudge helps; 20 % the session's, which then answers nothing any more; 10
% its memory's, so that a resumed session is as dead. Answers come after a delay with a long tail. Beside
that, calls of slow but healthy models, in which every rung taken is a false alarm.

- detected: from the moment in which the answer was due (the caller's last word, an empty turnComplete, an
  `interrupted` that nobody caused, the end of what was heard, a function's answer) to the first rung;
- silence: how long the caller heard nothing.

Bars: fewer than 0.5 % false alarms on slow healthy models, and no turn that is never answered. Exit status 1
when missed.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import structlog

from bench import machine
from bench.gemini.barge_in_world import MS
from bench.gemini.stalls_world import Call
from bench.sim.gemini.faults import Fault
from bench.sim.gemini.scenario import Scenario
from media_plane.call.stall import Cause, StallBook

SHARES = (0.05, 0.2, 0.5)
FALSE_ALARMS = 0.005
AT_A_CALL = 12  # turns
_WARM_UP = 60  # turns, after which it is known how long the model takes
_FOR_EVER = 3_600_000
_EVER_SINCE = 1_000_000
_LONGEST_MS = 90_000
_DEPTHS = ("turn", "session", "memory")
_HOW_OFTEN = (70, 20, 10)
_STRIKES = {Cause.PHANTOM: "phantom_interrupted", Cause.BROKE_OFF: "stall"}  # while it speaks
REPLY = "we are open from nine until six every day of the week"
HEALTHY: dict[str, dict[str, float]] = {
    "as usual": {"median": 500, "p99": 1500},
    "slow": {"median": 1500, "p99": 4000},
    "long tail": {"median": 600, "p99": 4500, "most": 20_000},
}
USUAL = HEALTHY["as usual"]


@dataclass
class Cell:
    """What was found of one kind of stall at one share of the turns."""

    cause: str
    share: float
    turns: int = 0
    stalls: int = 0
    detected_ms: list[float] = field(default_factory=list)
    silence_ms: list[float] = field(default_factory=list)
    recovered: Counter[str] = field(default_factory=Counter)  # by rung
    never: int = 0  # answered
    false_alarms: int = 0  # turns that nothing was wrong with and a rung was taken in


def scenario(thinks: dict[str, float], *, tool: bool) -> Scenario:
    step: dict[str, Any] = {"heard": "when are you open", "reply": REPLY, "voice": {"ms": 2500}}
    if tool:
        step["tool"] = {"function": "look_up", "args": {}, "then": "It is {output}."}
    delays = {"think_speech": thinks, "think_text": (750, 950), "think_tool": (830, 1380)}
    return Scenario.model_validate({"name": "stalls", "delays": delays, "script": [step]})


def faults(cause: Cause, depth: str, rng: random.Random) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What befalls the session, and the one that resumes it."""
    dead = {"fault": "no_reply", "turns": _EVER_SINCE}
    turns = 1 if depth == "turn" else _EVER_SINCE
    if cause is Cause.NO_REPLY:
        own = [{"fault": "no_reply", "turns": turns}]
    elif cause is Cause.EMPTY_TURN:
        own = [{"fault": "empty_turn_complete", "turns": turns}]
    elif cause is Cause.TOOL:
        own = [{"fault": "tool_ignored"}]
    elif cause is Cause.PHANTOM:
        own = [{"fault": "phantom_interrupted", "at": "reply", "after_ms": rng.uniform(100, 1500)}]
    else:
        own = [{"fault": "stall", "ms": _FOR_EVER, "at": "reply", "after_ms": rng.uniform(50, 500)}]
    if depth != "turn" and cause in (Cause.PHANTOM, Cause.BROKE_OFF):
        own.append({**dead, "at": "reply"})
    if depth != "turn" and cause is Cause.TOOL:
        own.append({**dead, "at": "speech_started"})
    return own, [dead] if depth == "memory" else []


class Turn:
    """One turn of a call; `cause` None: nothing is done to it."""

    def __init__(self, call: Call, cause: Cause | None, rng: random.Random) -> None:
        self._call = call
        self._cause = cause
        if cause is not None:
            own, next_ones = faults(cause, rng.choices(_DEPTHS, _HOW_OFTEN)[0], rng)
            call.next_faults = [Fault.model_validate({"session": "all", **each}) for each in next_ones]
            # A function is called before it can be ignored: its session dies when it has been.
            later = [each for each in own if cause is Cause.TOOL and each["fault"] == "no_reply"]
            for each in own:
                if each not in later:
                    call.model.arm(**each)
        else:
            later = []
        self._told = len(call.stalled)
        self.spoken_ns = call.speak(rng.uniform(700, 2000))
        self._dies = later
        self._end_ns = 0  # of what was heard before a stall
        self.answered = self._run()
        call.next_faults = []
        call.wait(rng.uniform(300, 1500))

    @property
    def rungs(self) -> list[tuple[int, str]]:
        return [(at_ns, each.rung) for at_ns, each in self._call.stalled[self._told :] if not each.outcome]

    @property
    def helped(self) -> str:
        """The rung after which the agent spoke."""
        told = [each for _, each in self._call.stalled[self._told :] if each.outcome]
        return told[-1].rung if told else ""

    @property
    def struck_ns(self) -> int | None:
        """When the stall began, on the model's side; None: it has not."""
        fault = _STRIKES.get(self._cause) if self._cause is not None else None
        if fault is None:
            return self.spoken_ns
        return self._call.first("fault", self.spoken_ns, fault=fault)

    @property
    def due_ns(self) -> int | None:
        """When an answer was due, as far as anybody here can tell."""
        call = self._call
        if self._cause is Cause.EMPTY_TURN:
            return call.first("turn_complete", self.spoken_ns)
        if self._cause is Cause.TOOL:
            return call.answered_ns
        if self._cause is Cause.BROKE_OFF:
            return self._end_ns
        return self.struck_ns

    @property
    def silence_ms(self) -> float:
        """How long the caller heard nothing."""
        since_ns = self.due_ns if self._cause in (Cause.PHANTOM, Cause.BROKE_OFF) else self.spoken_ns
        assert since_ns is not None, "a stall that is over has begun"
        heard = next((at_ns for at_ns in self._call.telephone.began if at_ns > since_ns + 20 * MS), since_ns)
        return (heard - since_ns) / MS

    def _run(self) -> bool:
        """Until the agent has answered, and was heard out."""
        call = self._call
        for _ in range(_LONGEST_MS // 50):
            call.wait(50)
            if self._dies and call.answered_ns > self.spoken_ns:
                for each in self._dies:
                    call.model.arm(fault=each["fault"], turns=each["turns"])
                self._dies = []
            if self.rungs and not self._end_ns:
                self._end_ns = call.telephone.end_ns
            struck_ns = self.struck_ns
            begins = call.first("first_audio", struck_ns) if struck_ns is not None else None
            done = call.first("generation_complete", begins) if begins is not None else None
            if done is not None and call.world.now_ns > call.telephone.end_ns + 400 * MS:
                return True
        return False


def play(
    cell: Cell,
    cause: Cause | None,
    thinks: dict[str, float],
    turns: int,
    seeds: count[int],
    warm_up: int = _WARM_UP,
) -> None:
    """Turns enough for a cell, after some that make the model known."""
    book = StallBook()
    chosen = scenario(thinks, tool=cause is Cause.TOOL)
    left = turns + warm_up
    while left > 0:
        seed = next(seeds)
        rng = random.Random(seed)
        call = Call(seed, chosen, book, tools=cause is Cause.TOOL)
        for _ in range(min(AT_A_CALL, left)):
            strikes = left <= turns and rng.random() < cell.share
            turn = Turn(call, cause if strikes else None, rng)
            counts = left <= turns
            left -= 1
            if counts:
                note(cell, turn, strikes=strikes)
            if not turn.answered:
                break  # the rest of this call would tell nothing new


def note(cell: Cell, turn: Turn, *, strikes: bool) -> None:
    cell.turns += 1
    cell.never += not turn.answered
    if not strikes:
        cell.false_alarms += bool(turn.rungs)
        return
    cell.stalls += 1
    due_ns = turn.due_ns
    if turn.rungs and due_ns is not None:
        cell.detected_ms.append((turn.rungs[0][0] - due_ns) / MS)
    if turn.answered:
        cell.silence_ms.append(turn.silence_ms)
        cell.recovered[turn.helped or "by itself"] += 1


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share did not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def row(cell: Cell) -> dict[str, Any]:
    healthy = cell.turns - cell.stalls
    return {
        "cause": cell.cause,
        "share": cell.share,
        "turns": cell.turns,
        "stalls": cell.stalls,
        "detected_p50_ms": quantile(cell.detected_ms, 0.5),
        "detected_p95_ms": quantile(cell.detected_ms, 0.95),
        "silence_p50_ms": quantile(cell.silence_ms, 0.5),
        "silence_p95_ms": quantile(cell.silence_ms, 0.95),
        "recovered": {rung: number / max(cell.stalls, 1) for rung, number in cell.recovered.items()},
        "never_answered": cell.never,
        "false_alarms": cell.false_alarms,
        "false_alarm_share": cell.false_alarms / max(healthy, 1),
    }


def measure(turns: int, healthy: int, seed: int) -> tuple[list[Cell], list[Cell]]:
    """Cells with stalls, and those of healthy models."""
    seeds = count(seed)
    stalls = []
    for cause in (Cause.NO_REPLY, Cause.EMPTY_TURN, Cause.PHANTOM, Cause.BROKE_OFF, Cause.TOOL):
        for share in SHARES:
            cell = Cell(cause.value, share)
            play(cell, cause, USUAL, max(turns, int(20 / share)), seeds)
            stalls.append(cell)
    well = []
    for name, thinks in HEALTHY.items():
        cell = Cell(name, 0.0)
        play(cell, None, thinks, healthy, seeds)
        well.append(cell)
    return stalls, well


def show(rows: list[dict[str, Any]], well: list[dict[str, Any]]) -> None:
    print(f"{'stall':<20}{'turns':>6}{'hit':>5}{'detected ms':>14}{'silence s':>13}", end="")
    print(f"{'nudge':>7}{'resume':>7}{'fresh':>7}{'other':>7}{'never':>6}{'false':>6}")
    for each in rows:
        helped = dict(each["recovered"])
        shares = [helped.pop(rung, 0.0) for rung in ("nudge", "resume", "fresh")] + [sum(helped.values())]
        print(
            f"{each['cause']:<20}{each['turns']:>6}{each['stalls']:>5}"
            f"{each['detected_p50_ms']:>8.0f} {each['detected_p95_ms']:>5.0f}"
            f"{each['silence_p50_ms'] / 1000:>8.1f} {each['silence_p95_ms'] / 1000:>4.1f}"
            + "".join(f"{value:>7.0%}" for value in shares)
            + f"{each['never_answered']:>6}{each['false_alarms']:>6}"
        )
    for each in well:
        print(
            f"healthy, {each['cause']:<12}{each['turns']:>6} turns: {each['false_alarms']} false alarms, "
            f"{each['false_alarm_share']:.2%} (below {FALSE_ALARMS:.1%})"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gemini.stalls", description=__doc__)
    parser.add_argument("--turns", type=int, default=150, help="of each kind of stall and share, at least")
    parser.add_argument("--healthy", type=int, default=2000, help="turns of each healthy model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    about = machine.about("python -m bench.gemini.stalls")
    began = monotonic()
    stalls, well = measure(options.turns, options.healthy, options.seed)
    rows, healthy = [row(cell) for cell in stalls], [row(cell) for cell in well]
    show(rows, healthy)
    met = all(each["false_alarm_share"] < FALSE_ALARMS for each in healthy)
    met = met and not any(each["never_answered"] for each in rows + healthy)
    print(f"{'ok' if met else 'MISSED'}, in {monotonic() - began:.0f} s")
    if options.out is not None:
        found = {"about": about, "stalls": rows, "healthy": healthy, "met": met}
        cells = [vars(cell) | {"recovered": dict(cell.recovered)} for cell in stalls + well]
        options.out.write_text(json.dumps(found | {"cells": cells}, indent=1) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
