"""Turns at asking Twilio for a call, across all workers. Implements `service.dialing_ports.Pacer`.

Twilio places so many calls a second for each account and queues the rest where nobody sees them. Here every
dial is given its own moment, in order of asking: no two workers ask at once, and nobody overtakes.
"""

from __future__ import annotations

from redis.asyncio import Redis

from control_plane.adapters.dialing_lua import BACKLOG, HOLD, TAKE_TURN
from control_plane.adapters.redis_client import reached

# Who comes later than this to its turn, its worker having been away, goes to the end of the line.
GRACE_MS = 5000


class RedisPacer:
    """One account's turns.

    Args:
        account: Twilio's account sid.
        per_second: calls a second the account may place (TWILIO_CPS).
    """

    def __init__(self, redis: Redis, account: str, per_second: float) -> None:
        self._redis = redis
        self._interval_ms = 1000 / per_second
        self._pace = f"dialing:pace:{account}"
        self._take_turn = redis.register_script(TAKE_TURN)
        self._hold = redis.register_script(HOLD)
        self._backlog = redis.register_script(BACKLOG)

    async def turn(self, workflow_id: str, now_ms: int, longest_wait_ms: int) -> int | None:
        """How long to wait before asking again (ms); 0: Twilio is to be asked now, the turn is used up.

        None: this call would wait for longer than `longest_wait_ms`; no turn is taken.
        """
        async with reached():
            wait = int(
                await self._take_turn(
                    keys=[self._pace, f"{self._pace}:turn:{workflow_id}"],
                    args=[now_ms, self._interval_ms, longest_wait_ms, GRACE_MS],
                )
            )
        return None if wait < 0 else wait

    async def hold(self, now_ms: int, for_ms: int) -> None:
        """No turn comes before `for_ms` from now, and all that were given come later by as much."""
        async with reached():
            await self._hold(keys=[self._pace], args=[now_ms, now_ms + for_ms])

    async def backlog_ms(self, now_ms: int) -> int:
        """How long a call that is asked for now would wait."""
        async with reached():
            return int(await self._backlog(keys=[self._pace], args=[now_ms]))
