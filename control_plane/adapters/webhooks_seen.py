"""Which of Twilio's requests have come before, in Redis. Implements `ports.WebhooksSeen`.

hook:{sha256 of the request}   string, TTL a day: when it first came, ms since the Unix epoch
"""

from __future__ import annotations

from redis.asyncio import Redis

from control_plane.adapters.redis_client import reached

KEPT_S = 86_400  # longer than any call, and than its stream token or its session is good for


class RedisWebhooksSeen:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def first_ms(self, digest: str) -> int | None:
        """When this request was marked; None: it has not been. Raises DependencyUnavailable."""
        async with reached():
            value = await self._redis.get(f"hook:{digest}")
        return None if value is None else int(value)

    async def mark(self, digest: str, now_ms: int) -> int:
        """It has come, now; answers when it first came. Raises DependencyUnavailable."""
        async with reached():
            before = await self._redis.set(f"hook:{digest}", now_ms, nx=True, get=True, ex=KEPT_S)
        return now_ms if before is None else int(before)
