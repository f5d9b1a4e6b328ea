"""`python -m bench.gemini.endless`: an hour's call over sessions that last minutes, on real sockets.

A caller asks and hears answers out; meanwhile the simulated service says goAway every ten minutes, cuts the
session at random (1011), and after 58 minutes, when it also refuses the handle (1007). Counted are the
samples of the caller's questions that the model has taken, from its memory, and the words that the caller has
heard, from their sound.

`--scale 20` (the default) makes the service's limits that much shorter: the hour is three minutes, goAway
comes every 30 s, the kill after 2:54. Speech, setup and answers take the time they take, goAway's lead stays
6 s at least. `--scale 1` compresses nothing.

Bars: every sample of every question taken exactly once, as audio or told in words with its answer; no word of
an answer lost or repeated. Exit status 1 when missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import monotonic_ns
from typing import Any
from uuid import uuid4

import uvloop
from picows import ws_connect
from redis.asyncio import Redis

from bench import machine
from bench.gemini import parts
from bench.gemini.endless_call import Caller, Question, numbers, whole
from bench.sim.gemini.connection import Connection
from bench.sim.gemini.faults import Fault
from bench.sim.gemini.mouths import NUMBERS
from bench.sim.gemini.scenario import Scenario
from bench.sim.gemini.server import Simulator
from protos.voiceplane.events.v1 import events_pb2
from protos.voiceplane.media.v1 import media_pb2, media_pb2_grpc

GO_AWAY_S = 600.0
LEAD_S = 60.0
LEAST_LEAD_S = 6.0  # of the scaled one: a session must be renewed in the time that a real one takes
KILL_S = 58 * 60.0
_QUESTIONS = 3000
_PATIENCE_S = 20.0
# Audio goes up as it comes, so that it can be told apart; sockets that wait must not be older than they get.
_NODE = {"GEMINI_UPLINK_RATE": "8000", "GEMINI_POOL_SOCKET_AGE_S": "5"}
_EDGES_MS = (50, 100, 200, 300, 500, 750, 1000, 1500, 2000, 5000)


def answers() -> Iterator[range]:
    """The words of each answer: ten to twenty numbers, all in a row over the whole call."""
    first, rng = 0, random.Random(0)
    while True:
        words = range(first, first + rng.randrange(10, 20))
        yield words
        first = words.stop


def script() -> list[dict[str, Any]]:
    return [
        {"heard": f"question {number}", "reply": f"{' '.join(map(str, words))}.", "hearing": 100}
        for number, words in enumerate(islice(answers(), _QUESTIONS))
    ]


@dataclass
class Found:
    """Of one call."""

    workflow_id: str
    seconds: float
    questions: list[Question]
    asked: int = 0
    samples: int = 0
    once: int = 0  # samples taken exactly once
    told: int = 0  # questions that the last session knows in words
    unanswered: int = 0
    words: int = 0
    lost: int = 0
    repeated: int = 0
    seams: int = 0  # answers that broke off in the middle
    renewals: Counter[str] = field(default_factory=Counter)
    session_gaps_ms: list[int] = field(default_factory=list)
    heard_gaps_ms: list[float] = field(default_factory=list)
    tries: int = 0
    ended: str = ""
    late_frames: int = 0


def scenario(go_away_s: float, lead_s: float) -> Scenario:
    return Scenario.model_validate(
        {
            "name": "endless",
            "voice": {"numbers": True},
            "codes": True,
            "limits": {"connection_s": go_away_s + lead_s, "go_away_lead_s": lead_s},
            "script": script(),
        }
    )


def live(simulator: Simulator) -> Connection | None:
    """The call's session: the newest one that was set up."""
    found = [each for each in simulator.live if each.session.setup_body is not None]
    return found[-1] if found else None


async def cuts(simulator: Simulator, every_s: float, rng: random.Random, done: asyncio.Event) -> None:
    """1011 at random moments."""
    while not done.is_set():
        await asyncio.sleep(rng.expovariate(1 / every_s))
        connection = live(simulator)
        if connection is not None and not done.is_set():
            simulator.arm(Fault(fault="internal_error", session=connection.session.id))


async def kill(simulator: Simulator, after_s: float) -> None:
    """1011 for the deadline, and a handle that is refused."""
    await asyncio.sleep(after_s)
    for waiting in simulator.live:
        if waiting.session.setup_body is None:  # a socket for whoever comes next
            simulator.arm(Fault(fault="close_during_resume", session=waiting.session.id))
    connection = live(simulator)
    if connection is not None:
        simulator.arm(Fault(fault="deadline", session=connection.session.id))


async def call(minutes: float, scale: float, cut_every_s: float, seed: int) -> tuple[Found, Simulator]:
    rng = random.Random(seed)
    chosen = scenario(GO_AWAY_S / scale, max(LEAD_S / scale, LEAST_LEAD_S))
    simulator = Simulator(chosen, mode="scripted", seed=seed)
    await simulator.start("127.0.0.1", 0)
    seconds = minutes * 60 / scale
    with tempfile.TemporaryDirectory() as folder:
        logs = Path(folder)
        async with parts.redis() as redis_url:
            url = f"http://127.0.0.1:{simulator.port}"
            async with parts.node("endless", url, redis_url, logs, **_NODE) as node:
                found = await converse(
                    simulator, node.stub, seconds, cut_every_s / scale, KILL_S / scale, rng
                )
                await _renewals(found, redis_url)
    await simulator.stop()
    return found, simulator


async def converse(
    simulator: Simulator,
    stub: media_pb2_grpc.MediaPlaneAsyncStub,
    seconds: float,
    cut_every_s: float,
    kill_s: float,
    rng: random.Random,
) -> Found:
    """One call, for so long and to the end of its last answer; and what came of it."""
    workflow_id = f"call-{uuid4()}"
    request = media_pb2.PrepareCallRequest(
        workflow_id=workflow_id,
        stream_token=f"token-{uuid4().hex}",
        agent=media_pb2.AgentConfig(system_prompt=parts.PROMPT, greeting=""),
    )
    prepared = await stub.PrepareCall(request, timeout=30)
    caller = Caller()
    await ws_connect(lambda: caller, prepared.stream_url)
    caller.start()
    begun_ns = monotonic_ns()
    done = asyncio.Event()
    tasks = [
        asyncio.create_task(caller.speak()),
        asyncio.create_task(cuts(simulator, cut_every_s, rng, done)),
        asyncio.create_task(kill(simulator, kill_s)),
    ]
    unanswered = 0
    while (monotonic_ns() - begun_ns) / 1e9 < seconds and not caller.closed.is_set():
        await asyncio.sleep(rng.uniform(0.3, 1.0))
        caller.ask(rng)
        unanswered += not await caller.hear_out(1.5, _PATIENCE_S)
    done.set()
    memory = getattr(live(simulator), "session", None)
    ended = "" if not caller.closed.is_set() else "the node closed the stream"
    if not caller.closed.is_set():
        caller.hang_up()
        async with asyncio.timeout(10):
            await caller.closed.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    found = Found(workflow_id, (monotonic_ns() - begun_ns) / 1e9, caller.questions, ended=ended)
    found.unanswered, found.late_frames = unanswered, caller.late_frames
    if memory is not None:
        judge_caller(found, memory.memory.codes, memory.memory.told, simulator)
    judge_words(found)
    return found


def judge_caller(found: Found, ranges: list[list[int]], told: list[str], simulator: Simulator) -> None:
    """Of each question: its audio is in the last session's memory exactly once; or its words are, exactly
    once, and a session before has heard all of it exactly once."""
    taken = Counter(number for first, last in ranges for number in range(first, last + 1))
    words = Counter(told)
    memories = [
        Counter(number for first, last in each.session.memory.codes for number in range(first, last + 1))
        for each in simulator.connections.values()
        if each.session.setup_body is not None
    ]
    for question in found.questions:
        groups = range(question.first, question.first + question.groups)
        found.asked += 1
        found.samples += question.groups * 8
        name = f"question {question.number}"
        if words[name] == 1 and not any(taken[group] for group in groups):
            found.told += 1
            best = max((sum(memory[group] == 1 for group in groups) for memory in memories), default=0)
            found.once += best * 8
        elif not words[name]:
            found.once += sum(taken[group] == 1 for group in groups) * 8


def judge_words(found: Found) -> None:
    """Of each answer: the words that came against those that should have."""
    for question, words in zip(found.questions, answers(), strict=False):
        expected = [each % NUMBERS for each in words]
        heard = numbers(bytes(question.heard))
        found.words += len(expected)
        lost = Counter(expected) - Counter(whole(heard))
        repeated = Counter(whole(heard)) - Counter(expected)
        seam = len(heard) != len(whole(heard)) or bool(lost) or bool(repeated)
        found.seams += seam
        found.lost += lost.total()
        found.repeated += repeated.total()
        found.heard_gaps_ms += [gap for gap in question.gaps_ms if gap >= _EDGES_MS[0]]


async def _renewals(found: Found, redis_url: str) -> None:
    async with Redis.from_url(redis_url) as redis:
        for _ in range(100):
            entries: Any = await redis.xrange(f"events:{found.workflow_id}")
            events = [events_pb2.CallEvent.FromString(fields[b"e"]) for _, fields in entries]
            if events and events[-1].WhichOneof("body") == "stream_ended":
                break
            await asyncio.sleep(0.1)
    for event in events:
        if event.WhichOneof("body") == "session_renewed":
            renewed = event.session_renewed
            found.renewals[f"{renewed.cause} {'resumed' if renewed.resumed else 'fresh'}"] += 1
            found.session_gaps_ms.append(renewed.gap_ms)
            found.tries += renewed.tries


def histogram(values: list[float] | list[int]) -> dict[str, int]:
    """How many are at most so many ms."""
    found = {f"<= {edge} ms": 0 for edge in _EDGES_MS}
    found["more"] = 0
    for value in values:
        edge = next((edge for edge in _EDGES_MS if value <= edge), None)
        found["more" if edge is None else f"<= {edge} ms"] += 1
    return {name: count for name, count in found.items() if count}


def summary(found: Found) -> dict[str, Any]:
    """The figures and whether the bars were met."""
    share = found.once / found.samples if found.samples else 0.0
    met = share == 1.0 and not found.lost and not found.repeated and not found.ended and not found.unanswered
    return {
        "seconds": found.seconds,
        "questions": found.asked,
        "unanswered": found.unanswered,
        "caller_samples": found.samples,
        "taken_exactly_once": share,
        "told_in_words": found.told,
        "words": found.words,
        "words_lost": found.lost,
        "words_repeated": found.repeated,
        "answers_with_a_seam": found.seams,
        "renewals": dict(found.renewals),
        "tries": found.tries,
        "session_gap_ms": histogram(found.session_gaps_ms),
        "audible_gap_ms": histogram(found.heard_gaps_ms),
        "late_frames": found.late_frames,
        "ended": found.ended,
        "met": met,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gemini.endless", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="of the call, before scaling")
    parser.add_argument("--scale", type=float, default=20, help="by which the service's limits are shorter")
    parser.add_argument(
        "--cut-every", type=float, default=900, help="seconds between random cuts, before scaling"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")
    options = parser.parse_args()
    about = machine.about("python -m bench.gemini.endless")
    found, _ = uvloop.run(call(options.minutes, options.scale, options.cut_every, options.seed))
    result = summary(found)
    for name, value in result.items():
        print(f"{name}: {value}")
    print("ok" if result["met"] else "MISSED")
    if options.out is not None:
        options.out.write_text(
            json.dumps({"about": about, "scale": options.scale, **result}, indent=1) + "\n"
        )
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
