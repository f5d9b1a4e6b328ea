"""Resumption handles in Redis, `handle:{workflow_id}`: with one, another process can take up a call's
conversation with the model.

A handle comes once a turn or so; they are written a few times a minute and call, together, and never from a
frame's call stack. The key goes with the call's end, or by itself when the node does not live to see it.
"""

from __future__ import annotations

import asyncio
import json

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

GATHER_S = 2.0  # a handle that is two seconds old is as good as any: the next turn brings another
AWAY_S = 5.0


class Handles:
    """`run` must be running for anything to be written."""

    def __init__(self, redis: Redis, *, node_id: str, ttl_s: int) -> None:
        self._redis = redis
        self._node_id = node_id
        self._ttl_s = ttl_s
        self._changed: dict[str, str] = {}  # by call; an empty handle: none is needed any more
        self._written: set[str] = set()  # calls that have a key, or will have one in a moment
        self._news = asyncio.Event()

    def keep(self, workflow_id: str, handle: str) -> None:
        """The newest handle of a call; empty: the call is over."""
        if handle or workflow_id in self._written:
            self._changed[workflow_id] = handle
            self._news.set()
        else:
            self._changed.pop(workflow_id, None)

    async def run(self) -> None:
        """Write what changes, for ever; cancel to stop. While Redis is away the newest handles wait."""
        away = False
        while True:
            await self._news.wait()
            await asyncio.sleep(AWAY_S if away else GATHER_S)
            try:
                await self.flush()
            except (RedisError, OSError, TimeoutError) as error:
                if not away:
                    log.warning("handles not written: redis is away", error=str(error))
                away = True
            else:
                away = False

    async def flush(self) -> None:
        """Write what has changed, now. Raises RedisError, OSError or TimeoutError: nothing is lost then."""
        self._news.clear()
        changed, self._changed = self._changed, {}
        if not changed:
            return
        pipeline = self._redis.pipeline(transaction=False)
        for workflow_id, handle in changed.items():
            if handle:
                self._written.add(workflow_id)
                value = json.dumps({"handle": handle, "node_id": self._node_id})
                pipeline.set(key(workflow_id), value, ex=self._ttl_s)
            else:
                pipeline.delete(key(workflow_id))
        try:
            await pipeline.execute()
        except BaseException:
            self._changed = changed | self._changed
            self._news.set()
            raise
        self._written.difference_update(each for each, handle in changed.items() if not handle)


def key(workflow_id: str) -> str:
    return f"handle:{workflow_id}"


async def read(redis: Redis, workflow_id: str) -> str:
    """The newest handle of a call; empty: there is none."""
    found = await redis.get(key(workflow_id))
    return str(json.loads(found)["handle"]) if found else ""
