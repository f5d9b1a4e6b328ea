"""This node's entry in Redis, `node:{id}`: how the control plane finds nodes and knows that they live.

The entry outlives its last renewal by six seconds; a node that is killed is forgotten by then.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

RENEW_S = 2.0
TTL_S = 6  # two lost renewals are no death
GATHER_S = 0.05  # changes of one moment share a write
NODES = "nodes"


@dataclass(frozen=True)
class NodeEntry:
    """The JSON in `node:{id}` (docs/seams.md)."""

    id: str
    grpc_address: str
    ws_url: str
    capacity: int
    calls: int
    draining: bool


class Registry:
    """Keeps the entry alive. `run` must be running; `changed` renews at once."""

    def __init__(self, redis: Redis, entry: Callable[[], NodeEntry]) -> None:
        self._redis = redis
        self._entry = entry
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """The number of calls or `draining` is not what was last written."""
        self._changed.set()

    async def run(self) -> None:
        """Renew, for ever; cancel to stop. Redis away is waited out."""
        away = False
        while True:
            self._changed.clear()
            try:
                await self._write()
            except (RedisError, OSError, TimeoutError) as error:
                if not away:
                    log.warning("node entry not renewed: redis is away", error=str(error))
                away = True
            else:
                if away:
                    log.info("node entry renewed: redis is back")
                away = False
            # While Redis is away a burst of changes must not become a burst of attempts.
            if away:
                await asyncio.sleep(RENEW_S / 4)
                continue
            try:
                async with asyncio.timeout(RENEW_S):
                    await self._changed.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(GATHER_S)

    async def remove(self) -> None:
        """Forget this node now; for the end."""
        entry = self._entry()
        try:
            await self._redis.delete(f"node:{entry.id}")
            await self._redis.srem(NODES, entry.id)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("node entry not removed: redis is away; it expires", error=str(error))

    async def _write(self) -> None:
        entry = self._entry()
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.set(f"node:{entry.id}", json.dumps(asdict(entry)), ex=TTL_S)
        pipeline.sadd(NODES, entry.id)
        await pipeline.execute()
