"""The event stream of a call, `events:{workflow_id}` in Redis. Implements `ports.EventLog`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import structlog
from google.protobuf.message import DecodeError
from prometheus_client import Counter
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from control_plane.adapters.redis_client import ANSWER_S, reached
from control_plane.service.ports import Kept
from protos.voiceplane.events.v1.events_pb2 import CallEvent

_log = structlog.get_logger(__name__)

MAX_ENTRIES = 20_000  # of a stream, about; media nodes keep to the same
READ_COUNT = 200  # entries a read: a second or two of a busy call, some tens of kilobytes

UNREADABLE = Counter(
    "voiceplane_control_events_unreadable_total", "Entries of event streams that were no CallEvent; skipped."
)


def stream_key(workflow_id: str) -> str:
    return f"events:{workflow_id}"


class RedisEventLog:
    """Reads event streams. `redis` must answer bytes, and wait longer for an answer than any `block_ms`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def follow(
        self, workflow_id: str, after: str = "0-0", *, block_ms: int = 1000
    ) -> AsyncIterator[tuple[str, CallEvent | None]]:
        """Entries in order, for ever: (entry id, event). After `block_ms` without news: (last id, None).

        An entry that is no CallEvent comes as (its id, None) too: logged, counted, and passed over. Holds a
        connection while it waits. Raises DependencyUnavailable.
        """
        last = after
        key = stream_key(workflow_id)
        while True:
            async with reached(block_ms / 1000 + ANSWER_S):
                answer = await self._redis.xread({key: last}, count=READ_COUNT, block=block_ms)
            entries = _entries(answer)
            for entry_id, fields in entries:
                last = entry_id.decode()
                yield last, _parse(workflow_id, last, fields.get(b"e"))
            if not entries:
                yield last, None

    async def kept(self, workflow_id: str) -> Kept | None:
        async with reached():
            try:
                stream: dict[str, Any] = await self._redis.xinfo_stream(stream_key(workflow_id))
            except ResponseError:
                return None  # no such key
        if not stream["length"]:
            return None
        return Kept(stream["first-entry"][0].decode(), whole=stream["entries-added"] == stream["length"])

    async def close(self) -> None:
        await self._redis.aclose()


def _entries(answer: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """One stream was asked for, so one answered, [[key, [(id, {field: value}), …]]], or nothing."""
    return answer[0][1] if answer else []


def _parse(workflow_id: str, entry_id: str, data: bytes | None) -> CallEvent | None:
    if data is not None:
        try:
            return CallEvent.FromString(data)
        except DecodeError:
            pass
    UNREADABLE.inc()
    _log.warning("an entry of the event stream is no CallEvent", workflow_id=workflow_id, entry=entry_id)
    return None
