"""`voiceplane bench gate`: a short measurement held to a baseline, and the baseline made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import typer

from bench import calibration, gate
from bench.cli import measuring
from bench.cli.measuring import Measure, console
from bench.figures import Result

BASELINE: Final = Path(__file__).parents[1] / "baselines" / "short.json"
MICRO: Final = "micro"
LOAD: Final = "load"


def part_of(figure: str) -> str:
    """The part that measures a figure: those of the load say at how many calls."""
    return LOAD if "@" in figure else MICRO


def run(parts: Mapping[str, Measure], baseline: Path, *, as_json: bool, out: Path | None) -> None:
    """Measure, measure once more what did not hold, and say line by line what did."""
    with measuring.or_give_up():
        lines = [line for line in gate.load(baseline) if part_of(line.figure) in parts]
        result = _measured(parts)
        verdicts = gate.judge(result, lines)
        # Once more: a busy moment must not fail a build.
        for part in sorted({part_of(verdict.line.figure) for verdict in verdicts if not verdict.held}):
            missed = [str(v) for v in verdicts if not v.held and part_of(v.line.figure) == part]
            console.print(f"measuring {part} again: " + "; ".join(missed), highlight=False)
            measuring.add(result, part, parts[part])
            result.notes.append(f"{part}: measured twice; its figures are the second time's")
        verdicts = gate.judge(result, lines)
        measuring.write(result, out)
        measuring.present(result, as_json=as_json)
    _say(verdicts)
    if any(verdict.failed for verdict in verdicts):
        raise typer.Exit(measuring.GATE_FAILED)


def calibrate(parts: Mapping[str, Measure], baseline: Path, runs: int) -> None:
    """Measure `runs` times and rewrite `baseline` from what was found."""
    with measuring.or_give_up():
        lines = gate.load(baseline)
        results = []
        for number in range(1, runs + 1):
            console.print(f"run {number} of {runs}", highlight=False)
            results.append(_measured(parts))
            for note in results[-1].notes:
                console.print(note, style="yellow", highlight=False)
        mine = [line for line in lines if part_of(line.figure) in parts]
        made = {str(line): line for line in calibration.calibrated(mine, results)}
        lines = [made.get(str(line), line) for line in lines]
        calibration.write(baseline, lines, results)
    console.print(f"written to {baseline}", highlight=False)
    _say([gate.Verdict(line, gate.value_of(results[-1], line)) for line in lines if str(line) in made])


def _measured(parts: Mapping[str, Measure]) -> Result:
    result = measuring.new()
    for part, measure in parts.items():
        measuring.add(result, part, measure)
    return result


def _say(verdicts: Sequence[gate.Verdict]) -> None:
    for verdict in verdicts:
        colour = "red" if verdict.failed else "" if verdict.held else "yellow"
        console.print(str(verdict), highlight=False, style=colour, soft_wrap=True)
