"""How many requests a principal may make, in Redis. Implements `ports.RateLimiter`.

rate:{principal}   string, TTL one window: the time, in µs of Redis' clock, when the allowance is full again

The generic cell rate algorithm (ITU-T I.371): an allowance of `limit` requests that refills evenly over the
window. One number a principal, one round trip a request, the same on every replica.
"""

from __future__ import annotations

from redis.asyncio import Redis

from control_plane.adapters.redis_client import reached
from control_plane.service.ports import Allowance

# KEYS: key. ARGV: limit, window in µs. Answers {allowed, left, µs until one more is allowed or all are}.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local each = window / limit
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local after = full + each
if after - now > window then
    return {0, 0, math.ceil(after - now - window)}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return {1, math.floor((window - (after - now)) / each), math.ceil(after - now)}
"""


class RedisRateLimiter:
    """`limit` requests a `window_s`, for each principal."""

    def __init__(self, redis: Redis, limit: int, window_s: int = 60) -> None:
        self.limit = limit
        self.window_s = window_s
        self._take = redis.register_script(_TAKE)

    async def take(self, principal: str) -> Allowance:
        async with reached():
            allowed, left, wait_us = await self._take(
                keys=[f"rate:{principal}"], args=[self.limit, self.window_s * 1_000_000]
            )
        return Allowance(
            allowed=bool(allowed),
            limit=self.limit,
            window_s=self.window_s,
            left=int(left),
            reset_s=-(-int(wait_us) // 1_000_000),
        )
