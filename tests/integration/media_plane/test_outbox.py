"""Call events reach Redis in order, whole, and outlive its absence."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from media_plane.rpc.outbox import TOOLS, Outbox
from media_plane.wire.events import (
    CallEvent,
    DtmfReceived,
    Speaker,
    ToolCalled,
    TranscriptDelta,
    TranscriptSegment,
)
from protos.voiceplane.events.v1 import events_pb2 as pb
from tests.support.relay import Relay
from tests.support.stack import Servers

EPOCH_NS = 1_700_000_000_000_000_000


@asynccontextmanager
async def outbox(url: str, **options: int) -> AsyncIterator[Outbox]:
    redis = Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)
    box = Outbox(redis, source="node-1", ttl_s=7200, epoch_ns=EPOCH_NS, **options)
    running = asyncio.create_task(box.run())
    try:
        yield box
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await redis.aclose()


def key(workflow_id: str, seq: int, digit: str = "5") -> CallEvent:
    return CallEvent(workflow_id, seq, seq * 1_000_000, seq, DtmfReceived(digit))


async def entries(url: str, workflow_id: str) -> list[pb.CallEvent]:
    async with Redis.from_url(url) as redis:
        return [
            pb.CallEvent.FromString(fields[b"e"]) for _, fields in await redis.xrange(f"events:{workflow_id}")
        ]


def new_id() -> str:
    return f"call-{uuid.uuid4()}"


async def test_events_arrive_whole_in_order_and_expire_with_the_session(servers: Servers) -> None:
    call = new_id()
    async with outbox(servers.redis_url) as box:
        for seq in range(1, 301):
            box.append(key(call, seq))
        box.append(
            CallEvent(call, 301, 9_000_000, 42, TranscriptSegment(7, Speaker.AGENT, "Grüß Gott", 1, 42, True))
        )
        assert await box.drain(5)
        assert box.counts.written == 301
        assert box.counts.waiting == 0
    found = await entries(servers.redis_url, call)
    assert [event.seq for event in found] == list(range(1, 302))
    last = found[-1]
    assert (last.source, last.offset_ms) == ("node-1", 42)
    assert last.at_unix_ms == EPOCH_NS // 1_000_000 + 9
    segment = last.transcript_segment
    assert (segment.segment_id, segment.speaker, segment.text) == (7, pb.SPEAKER_AGENT, "Grüß Gott")
    assert (segment.start_ms, segment.end_ms, segment.interrupted) == (1, 42, True)
    async with Redis.from_url(servers.redis_url) as redis:
        assert 7100 < await redis.ttl(f"events:{call}") <= 7200


async def test_while_redis_is_away_events_wait_and_then_arrive_once_and_in_order(servers: Servers) -> None:
    call = new_id()
    async with Relay(servers.redis_url) as relay, outbox(f"redis://127.0.0.1:{relay.port}/0") as box:
        box.append(key(call, 1))
        assert await box.drain(5)
        relay.refuse()
        for seq in range(2, 52):
            box.append(key(call, seq))
        await relay.refused(2)
        assert box.counts.waiting == 50
        relay.accept()
        assert await box.drain(10)
        assert box.counts.failures >= 1
        assert box.counts.dropped == 0
    assert [event.seq for event in await entries(servers.redis_url, call)] == list(range(1, 52))


async def test_beyond_its_depth_it_drops_deltas_first_and_counts_them(servers: Servers) -> None:
    call = new_id()
    async with Relay(servers.redis_url) as relay:
        relay.refuse()
        async with outbox(f"redis://127.0.0.1:{relay.port}/0", deep=10) as box:
            for seq in range(1, 11):
                box.append(key(call, seq))
            box.append(CallEvent(call, 11, 0, 0, TranscriptDelta(1, Speaker.CALLER, "lost")))
            assert (box.counts.waiting, box.counts.dropped) == (10, 1)
            for seq in range(12, 30):
                box.append(key(call, seq))
            assert (box.counts.waiting, box.counts.dropped) == (20, 9)
            relay.accept()
            assert await box.drain(10)
    kept = [event.seq for event in await entries(servers.redis_url, call)]
    assert kept == [*range(1, 11), *range(12, 22)]


async def test_draining_says_no_when_redis_stays_away() -> None:
    async with outbox("redis://127.0.0.1:1/0") as box:
        box.append(key(new_id(), 1))
        assert not await box.drain(0.05)


async def test_a_tool_call_goes_to_its_own_stream_and_to_the_workers_too(
    servers: Servers,
) -> None:
    call = new_id()
    async with outbox(servers.redis_url) as box, Redis.from_url(servers.redis_url) as redis:
        before = await redis.xrevrange(TOOLS, count=1)
        last = before[0][0] if before else "0"
        box.append(key(call, 1))
        box.append(CallEvent(call, 2, 2_000_000, 2, ToolCalled("fc-1", "f", '{"a":1}', f"{call}:fc-1", 5000)))
        answer = await redis.xread({TOOLS: last}, block=5000)
    [(_, fields)] = answer[0][1]
    event = pb.CallEvent.FromString(fields[b"e"])
    assert (event.workflow_id, event.source, event.seq) == (call, "node-1", 2)
    assert event.tool_called.arguments_json == '{"a":1}'
    assert [e.seq for e in await entries(servers.redis_url, call)] == [1, 2]
