"""Which request an idempotency key was used for, in Redis. Implements `ports.IdempotencyKeys`.

idem:{sha256 of principal and key}   JSON {"request", "workflow_id", "run_id"}; no `run_id`: not started yet
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from redis.asyncio import Redis

from control_plane.adapters.redis_client import reached
from control_plane.service.ports import Reservation

KEPT_S = 86_400

# KEYS: key. ARGV: JSON, lifetime in seconds. Answers what holds: that JSON, or what was there before.
_RESERVE = """
local held = redis.call('GET', KEYS[1])
if held then return held end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return ARGV[1]
"""
# KEYS: key. ARGV: workflow_id, run_id; an empty run_id gives a call up that has not started. Answers 1 when
# the key still stands for that call and, to give it up, nobody was told that it started.
_SETTLE = """
local text = redis.call('GET', KEYS[1])
if not text then return 0 end
local held = cjson.decode(text)
if held.workflow_id ~= ARGV[1] then return 0 end
if ARGV[2] == '' then
    if held.run_id ~= '' then return 0 end
    redis.call('DEL', KEYS[1])
    return 1
end
held.run_id = ARGV[2]
redis.call('SET', KEYS[1], cjson.encode(held), 'KEEPTTL')
return 1
"""


class RedisIdempotencyKeys:
    """Every step is one script, and may run twice."""

    def __init__(self, redis: Redis) -> None:
        self._reserve = redis.register_script(_RESERVE)
        self._settle = redis.register_script(_SETTLE)

    async def reserve(self, owner: str, key: str, request: str, workflow_id: str) -> Reservation:
        value = json.dumps({"request": request, "workflow_id": workflow_id, "run_id": ""})
        async with reached():
            text = await self._reserve(keys=[_key(owner, key)], args=[value, KEPT_S])
        held: dict[str, Any] = json.loads(text)
        return Reservation(held["request"], held["workflow_id"], held["run_id"])

    async def started(self, owner: str, key: str, workflow_id: str, run_id: str) -> bool:
        async with reached():
            return bool(await self._settle(keys=[_key(owner, key)], args=[workflow_id, run_id]))

    async def give_up(self, owner: str, key: str, workflow_id: str) -> bool:
        async with reached():
            return bool(await self._settle(keys=[_key(owner, key)], args=[workflow_id, ""]))


def _key(owner: str, key: str) -> str:
    # Hashed: a key may hold anything, and its length is the client's business.
    return "idem:" + hashlib.sha256(f"{owner}\0{key}".encode()).hexdigest()
