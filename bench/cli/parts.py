"""The parts of the bench as its commands run them: options in, something to measure out."""

from __future__ import annotations

from dataclasses import replace

from bench.cli.measuring import Measure, Say, under_load
from bench.cli.options import ALL_SYSTEMS, names, numbers
from bench.figures import Measured


def micro(*, short: bool = False) -> Measure:
    def measure(_say: Say) -> Measured:
        from bench.load.measured import Measured as Found
        from bench.micro import frames, objects, resamplers

        effort = frames.SHORT if short else frames.FULL
        figures = frames.measure(effort) + objects.measure()
        return Found(figures, [], [], set(), {"resamplers": resamplers.measure(effort)})

    return measure


def compare(
    *,
    levels: str | None = None,
    system: str = ALL_SYSTEMS,
    rounds: int | None = None,
    seconds: float | None = None,
    short: bool = False,
) -> Measure:
    from bench.load import compare as part

    plan = part.SHORT if short else part.FULL
    if levels is not None:
        plan = replace(plan, levels=numbers(levels))
    if rounds is not None:
        plan = replace(plan, rounds=rounds)
    if seconds is not None:
        plan = replace(plan, measure_s=seconds)
    loaded = names(system)
    return under_load(lambda logs, say: part.compare(plan, logs, say, loaded))


def ceiling(*, short: bool = False) -> Measure:
    from bench.load import ceiling as part

    plan = part.SHORT if short else part.FULL
    return under_load(lambda logs, say: part.find(plan, logs, say))


def steady(*, calls: int | None = None, minutes: float | None = None, short: bool = False) -> Measure:
    from bench.load import steady as part

    plan = part.SHORT if short else part.FULL
    if calls is not None:
        plan = replace(plan, calls=calls)
    if minutes is not None:
        plan = replace(plan, minutes=minutes)
    return under_load(lambda logs, say: part.run(plan, logs, say))


def hygiene(*, short: bool = False) -> Measure:
    from bench.load import hygiene as part

    plan = part.SHORT if short else part.FULL
    return under_load(lambda logs, say: part.run(plan, logs, say))


def tls(*, short: bool = False) -> Measure:
    from bench.load import tls as part

    plan = part.SHORT if short else part.FULL
    return under_load(lambda logs, say: part.run(plan, logs, say))


def scaling(*, short: bool = False) -> Measure:
    from bench.load import scaling as part

    plan = part.SHORT if short else part.FULL
    return under_load(lambda logs, say: part.run(plan, logs, say))


def every(*, short: bool = False) -> dict[str, Measure]:
    """All of the bench, quick parts first."""
    return {
        "micro": micro(short=short),
        "compare": compare(short=short),
        "ceiling": ceiling(short=short),
        "tls": tls(short=short),
        "scaling": scaling(short=short),
        "hygiene": hygiene(short=short),
        "steady": steady(short=short),
    }


def gated() -> dict[str, Measure]:
    """What the gate measures."""
    return {"micro": _frames(), "load": compare(short=True)}


def _frames() -> Measure:
    """`micro` without what no baseline holds."""

    def measure(_say: Say) -> Measured:
        from bench.load.measured import Measured as Found
        from bench.micro import frames, objects

        return Found(frames.measure(frames.SHORT) + objects.measure(), [], [], set(), {})

    return measure
