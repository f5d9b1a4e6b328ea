"""A node tells in Redis that it lives, how full it is, and when it goes."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import asdict, replace

from redis.asyncio import Redis

from media_plane.rpc.registry import TTL_S, NodeEntry, Registry
from tests.support.eventually import eventually
from tests.support.relay import Relay
from tests.support.stack import Servers

ENTRY = NodeEntry("node-registry-test", "127.0.0.1:50051", "ws://127.0.0.1:8081", 400, 3, False)
KEY = f"node:{ENTRY.id}"


async def test_the_entry_is_renewed_at_each_change_and_removed_at_the_end(servers: Servers) -> None:
    entry = ENTRY
    async with Redis.from_url(servers.redis_url) as redis:
        registry = Registry(redis, lambda: entry)
        running = asyncio.create_task(registry.run())
        try:
            first = await eventually(lambda: redis.get(KEY))
            assert json.loads(first) == asdict(ENTRY)
            assert 0 < await redis.ttl(KEY) <= TTL_S
            assert await redis.sismember("nodes", ENTRY.id)

            entry = replace(ENTRY, calls=4, draining=True)
            registry.changed()

            async def renewed() -> bool:
                return json.loads(await redis.get(KEY) or b"{}") == asdict(entry)

            # Well under the two seconds of an ordinary renewal.
            assert await eventually(renewed, within_s=1.5)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        await registry.remove()
        assert await redis.get(KEY) is None
        assert not await redis.sismember("nodes", ENTRY.id)


async def test_redis_may_be_away_at_the_start(servers: Servers) -> None:
    entry = replace(ENTRY, id="node-late")
    async with Relay(servers.redis_url) as relay, Redis.from_url(servers.redis_url) as direct:
        relay.refuse()
        through = Redis.from_url(f"redis://127.0.0.1:{relay.port}/0", socket_timeout=1)
        running = asyncio.create_task(Registry(through, lambda: entry).run())
        try:
            await relay.refused(1)
            relay.accept()
            assert await eventually(lambda: direct.get("node:node-late"))
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await through.aclose()
