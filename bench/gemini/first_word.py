"""`python -m bench.gemini.first_word`: from the answer to the first word that the callee hears.

Three ways in one run, interleaved, against the simulator with fixed delays: 300 ms to
setupComplete, 900 to the first audio.

- warm: the call is prepared while it rings (at least 1.5 s), as the product does it;
- pooled: it is prepared only when it is answered, on a node that keeps warm sessions;
- cold: it is prepared only when it is answered, and nothing is warm.

Bars: warm p99 at most 1/15 of the cold median, and at most 60 ms (three frames). Exit status 1 when missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
from collections.abc import Coroutine
from math import ceil
from pathlib import Path
from statistics import median
from time import monotonic_ns
from typing import Any
from uuid import uuid4

import uvloop
import yaml

from bench import machine
from bench.gemini.parts import Node, node, redis, simulator, stream
from bench.load.process import ahead_of_others

RATIO = 15
FRAMES_MS = 60.0
RING_S = (1.5, 2.5)
AT_ONCE = 10  # warm calls of a round; two pooled and two cold ones beside them
SCENARIO = {
    "name": "first word",
    "delays": {"setup": 300, "think_text": 900},
    "wire": {"bundle_final": 0, "empty_frame": 0},
    "pace": {"hiccup": 0},
}
NS = 1e6


async def warm(at: Node) -> float:
    """Milliseconds from the stream's start to the first agent audio, of a call prepared while it rang."""
    rings_s = random.uniform(*RING_S)
    ringing = asyncio.create_task(asyncio.sleep(rings_s))
    prepared = await at.prepare(f"call-{uuid4()}")
    await ringing
    return await _answered(prepared.stream_url, None)


async def late(at: Node) -> float:
    """The same of a call that is prepared when it is answered; the preparing counts.

    It comes at any moment of a round: the others of the round come at once and take whatever is warm."""
    await asyncio.sleep(random.uniform(0.0, RING_S[1]))
    answered_ns = monotonic_ns()
    prepared = await at.prepare(f"call-{uuid4()}")
    return await _answered(prepared.stream_url, answered_ns)


async def _answered(url: str, answered_ns: int | None) -> float:
    opened = await stream(url)
    started_ns = opened.start()
    first_ns = await opened.first_word_ns()
    await opened.hang_up()
    return (first_ns - (started_ns if answered_ns is None else answered_ns)) / NS


class Lag:
    """How long this process, and the simulator on its core, were kept from running."""

    def __init__(self) -> None:
        self.most_ms = 0.0

    async def watch(self) -> None:
        while True:
            due_ns = monotonic_ns() + 10_000_000
            await asyncio.sleep(0.01)
            self.most_ms = max(self.most_ms, (monotonic_ns() - due_ns) / NS)


async def measure(calls: int, logs: Path, lag: Lag) -> dict[str, list[float]]:
    """Milliseconds by way, one figure a call."""
    found: dict[str, list[float]] = {"warm": [], "pooled": [], "cold": []}
    scenario = logs / "scenario.yaml"
    scenario.write_text(yaml.safe_dump(SCENARIO))
    async with contextlib.AsyncExitStack() as stack:
        gemini = await stack.enter_async_context(simulator(scenario, logs))
        valkey = await stack.enter_async_context(redis())
        pooled = await stack.enter_async_context(node("pooled", gemini, valkey, logs))
        cold = await stack.enter_async_context(node("cold", gemini, valkey, logs, GEMINI_POOL_MAX="0"))
        await asyncio.gather(*(late(at) for at in (pooled, cold) for _ in range(3)))  # what is slow once
        watching = asyncio.create_task(lag.watch())
        stack.callback(watching.cancel)
        while len(found["warm"]) < calls:
            ways: list[tuple[str, Coroutine[Any, Any, float]]] = [
                ("warm", warm(pooled)) for _ in range(min(AT_ONCE, calls - len(found["warm"])))
            ]
            for _ in range(2):
                ways += [("pooled", late(pooled)), ("cold", late(cold))]
            times = await asyncio.gather(*(way for _, way in ways))
            for (name, _), time_ms in zip(ways, times, strict=True):
                found[name].append(time_ms)
    return found


def p99(values: list[float]) -> float:
    """The value that 99 % of the calls did not exceed (nearest rank)."""
    return sorted(values)[ceil(0.99 * len(values)) - 1]


def summary(found: dict[str, list[float]]) -> dict[str, object]:
    """The figures and whether the bars were met."""
    rows = {
        name: {"calls": len(ms), "p50_ms": median(ms), "p99_ms": p99(ms), "max_ms": max(ms)}
        for name, ms in found.items()
    }
    warm_p99, cold_p50 = p99(found["warm"]), median(found["cold"])
    return {
        "rows": rows,
        "cold_median_over_warm_p99": cold_p50 / warm_p99,
        "met": warm_p99 <= cold_p50 / RATIO and warm_p99 <= FRAMES_MS,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gemini.first_word", description=__doc__)
    parser.add_argument("--calls", type=int, default=200, help="warm ones; a fifth of that the other ways")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")
    options = parser.parse_args()
    about = machine.about("python -m bench.gemini.first_word")
    with tempfile.TemporaryDirectory(prefix="voiceplane-bench-") as logs, ahead_of_others():
        lag = Lag()
        result = summary(uvloop.run(measure(options.calls, Path(logs), lag)))
    rows: Any = result["rows"]
    print(f"{'answer → first word':<20}{'calls':>6}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}")
    for name, row in rows.items():
        print(f"{name:<20}{row['calls']:>6}{row['p50_ms']:>9.1f}{row['p99_ms']:>9.1f}{row['max_ms']:>9.1f}")
    print(
        f"cold median / warm p99: {result['cold_median_over_warm_p99']:.0f} (at least {RATIO}); "
        f"warm p99 at most {FRAMES_MS:.0f} ms: {'ok' if result['met'] else 'MISSED'}"
    )
    print(f"the machine kept the bench from running for at most {lag.most_ms:.0f} ms")
    if options.out is not None:
        options.out.write_text(json.dumps({"about": about, "lag_ms": lag.most_ms, **result}, indent=1) + "\n")
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
