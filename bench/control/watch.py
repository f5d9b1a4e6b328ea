"""`python -m bench.control.watch`: what a watched call costs the control plane.

The control plane's process runs in a stack of its own; its calls are event streams in Redis, written at a
talking call's pace, so that nothing else takes its time. Each call is watched over gRPC. Prints JSON:
CPU milliseconds of the control plane for each call-second watched, and from an event's writing to its coming.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tempfile
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

import grpc
import psutil
from redis.asyncio import Redis

from control_plane.adapters.event_log import stream_key
from control_plane.adapters.sessions import RedisSessions
from control_plane.devstack.options import StackOptions
from control_plane.devstack.stack import Stack
from control_plane.service.ports import Session
from protos.voiceplane.calls.v1.calls_pb2 import WatchCallRequest
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceStub
from protos.voiceplane.events.v1.events_pb2 import CallEvent, TranscriptDelta

NEEDED = frozenset({"postgres", "valkey", "temporal", "migrations", "control"})


@dataclass(frozen=True)
class Cost:
    """`delay_*_ms`: from the event's writing until its watcher has it; both processes share this machine."""

    calls: int
    events_per_s: float  # of each call
    seconds: float
    cpu_ms_per_call_second: float
    items: int
    delay_p50_ms: float
    delay_p99_ms: float


async def measure(calls: int, events_per_s: float, seconds: float) -> Cost:
    """In a stack that is started for it."""
    folder = Path(tempfile.mkdtemp(prefix="voiceplane-watch-"))
    options = StackOptions(data_dir=folder / "data", ui=False, only=NEEDED, usual_ports=False, isolated=True)
    try:
        async with Stack(options) as stack, Redis.from_url(stack.env["REDIS_URL"]) as redis:
            process = psutil.Process(_pid(folder / "data" / "stack.json"))
            return await _watched(stack.endpoints["grpc"], redis, process, calls, events_per_s, seconds)
    finally:
        shutil.rmtree(folder)


async def _watched(
    address: str, redis: Redis, control: psutil.Process, calls: int, events_per_s: float, seconds: float
) -> Cost:
    sessions = RedisSessions(redis, 600)
    ids = [f"call-{uuid.uuid4()}" for _ in range(calls)]
    for workflow_id in ids:
        await sessions.put(_session(workflow_id))
    delays: list[float] = []
    async with grpc.aio.insecure_channel(address) as channel:
        watching = [asyncio.create_task(_watch(channel, workflow_id, delays)) for workflow_id in ids]
        await _write(redis, ids, events_per_s, 2.0)  # until all are there
        delays.clear()
        before = sum(control.cpu_times()[:2])
        await _write(redis, ids, events_per_s, seconds)
        cpu_s = sum(control.cpu_times()[:2]) - before
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    delays.sort()
    return Cost(
        calls=calls,
        events_per_s=events_per_s,
        seconds=seconds,
        cpu_ms_per_call_second=round(cpu_s * 1000 / (calls * seconds), 4),
        items=len(delays),
        delay_p50_ms=round(delays[len(delays) // 2], 2),
        delay_p99_ms=round(delays[int(len(delays) * 0.99)], 2),
    )


async def _watch(channel: grpc.aio.Channel, workflow_id: str, delays: list[float]) -> None:
    async for item in CallServiceStub(channel).WatchCall(WatchCallRequest(workflow_id=workflow_id)):
        if item.HasField("event"):
            delays.append(time.time() * 1000 - item.event.at_unix_ms)


async def _write(redis: Redis, ids: list[str], events_per_s: float, seconds: float) -> None:
    """Each call's events evenly, the calls one after another."""
    loop = asyncio.get_running_loop()
    began, count = loop.time(), int(len(ids) * events_per_s * seconds)
    for number in range(count):
        due = began + number / (len(ids) * events_per_s)
        if due > loop.time():
            await asyncio.sleep(due - loop.time())
        workflow_id = ids[number % len(ids)]
        event = CallEvent(
            workflow_id=workflow_id,
            source="bench",
            seq=number + 1,
            at_unix_ms=int(time.time() * 1000),
            transcript_delta=TranscriptDelta(segment_id=1, text="some words "),
        )
        await redis.xadd(stream_key(workflow_id), {"e": event.SerializeToString()})


def _session(workflow_id: str) -> Session:
    return Session(
        call_id=workflow_id.removeprefix("call-"),
        workflow_id=workflow_id,
        phone_number="+15551234567",
        greeting="",
        system_prompt="x",
        status="in_progress",
        stream_sid="MZ",
        created_at="2026-01-01T00:00:00+00:00",
    )


def _pid(stack_json: Path) -> int:
    return int(json.loads(stack_json.read_text())["processes"]["control"]["pid"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.control.watch", description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--events", type=float, default=5.0, help="a second, of each call")
    parser.add_argument("--seconds", type=float, default=10.0)
    asked = parser.parse_args()
    print(json.dumps(asdict(asyncio.run(measure(asked.calls, asked.events, asked.seconds))), indent=2))


if __name__ == "__main__":
    main()
