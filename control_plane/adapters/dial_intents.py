"""Who of a call's attempts to dial may send the request, and when one was last sent; in Redis.

Temporal starts a new attempt when it has not heard of the old one, which may be alive and merely cut off. The
newest attempt to enter is the only one that may send; and what an older one sent before is known to it.
Implements `service.dialing_ports.Intents`.
"""

from __future__ import annotations

from redis.asyncio import Redis

from control_plane.adapters.dialing_lua import ENTER, MARK_SENT
from control_plane.adapters.redis_client import reached
from control_plane.service.dialing_ports import Superseded

# As long as attempts can follow each other, with plenty to spare.
LIFE_MS = 3_600_000
# Longer than a call lives: only then does it stay in the list among which others look for theirs.
_OWNED_MS = 5 * 3_600_000


class RedisIntents:
    """`dialing:intent:{workflow_id}`: hash of attempt and sent (Unix ms)."""

    def __init__(self, redis: Redis) -> None:
        self._enter = redis.register_script(ENTER)
        self._mark_sent = redis.register_script(MARK_SENT)

    async def enter(self, workflow_id: str, attempt: int) -> int | None:
        """Take over from all earlier attempts. When the last request was sent (Unix ms) that may have placed
        the call; None: there was none, or it failed for certain.

        Raises:
            Superseded: a later attempt has entered.
        """
        async with reached():
            answer = int(await self._enter(keys=[_key(workflow_id)], args=[attempt, 0, LIFE_MS]))
        if answer < 0:
            raise Superseded(workflow_id)
        return answer or None

    async def sending(self, workflow_id: str, attempt: int, now_ms: int) -> None:
        """The request goes out now.

        Raises:
            Superseded: a later attempt has entered.
        """
        await self._mark(workflow_id, attempt, now_ms)

    async def not_placed(self, workflow_id: str, attempt: int) -> None:
        """The request sent last has placed no call, for certain. Raises Superseded."""
        await self._mark(workflow_id, attempt, 0)

    async def _mark(self, workflow_id: str, attempt: int, sent_ms: int) -> None:
        async with reached():
            answer = int(await self._mark_sent(keys=[_key(workflow_id)], args=[attempt, sent_ms, LIFE_MS]))
        if answer < 0:
            raise Superseded(workflow_id)


class RedisOwners:
    """`dialing:sid:{call_sid}`: the workflow whose call it is. Implements `service.dialing_ports.Owners`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def placed(self, workflow_id: str, call_sid: str) -> None:
        """Twilio placed this call for that workflow."""
        async with reached():
            await self._redis.set(_sid_key(call_sid), workflow_id, px=_OWNED_MS, nx=True)

    async def owner(self, call_sid: str) -> str | None:
        """The workflow whose call it is; None: nobody has said so yet."""
        async with reached():
            found = await self._redis.get(_sid_key(call_sid))
        return found.decode() if isinstance(found, bytes) else found


def _key(workflow_id: str) -> str:
    return f"dialing:intent:{workflow_id}"


def _sid_key(call_sid: str) -> str:
    return f"dialing:sid:{call_sid}"
