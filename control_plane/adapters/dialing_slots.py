"""Claims on calls, minutes and the kill switch, in Redis. Implements `service.dialing_ports.Slots`.

One script looks at all caps and takes a place under each, or under none. A claim is made under the call's
workflow id: made again, it is the same one with a later end. What nobody releases ends with its lease.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

from redis.asyncio import Redis

from control_plane.adapters.dialing_lua import CLAIM, RELEASE
from control_plane.adapters.redis_client import reached
from control_plane.domain.dialing.caps import DAY_MS, Breach, Cap, Caps, Scope, Usage
from control_plane.service.dialing_ports import CallOver, Claimant, Stop

STOP_KEY = "dialing:stop"
# Beyond a lease: a claim whose lease ran out while nobody renewed it is still the same call.
_CLAIM_SLACK_MS = 3_600_000
_NONE = -1


class RedisSlots:
    """The clock is the caller's, so that tests can move it; replicas' may differ by a second or so."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._claim = redis.register_script(CLAIM)
        self._release = redis.register_script(RELEASE)

    async def claim(
        self, who: Claimant, caps: Mapping[Scope, Caps], *, asked_s: int, lease_s: float, now: datetime
    ) -> Breach | Stop | None:
        """Take a place under every cap, until `lease_s` from now; None: done, or done before and now renewed.

        Args:
            asked_s: seconds the call may last; they count as used until it is released.

        Raises:
            CallOver: this call's claim was released.
            DependencyUnavailable: Redis is away.
        """
        now_ms, lease_ms = int(now.timestamp() * 1000), int(lease_s * 1000)
        limits = [
            _NONE if (value := caps.get(scope, Caps()).limit(cap)) is None else value
            for scope in Scope
            for cap in Cap
        ]
        head: list[str | int] = [who.workflow_id, now_ms, lease_ms, lease_ms + _CLAIM_SLACK_MS, asked_s]
        days = [now_ms // DAY_MS, DAY_MS - now_ms % DAY_MS]
        async with reached():
            answer = await self._claim(
                keys=[_claim_key(who.workflow_id), STOP_KEY, *_keys(who)], args=[*head, *days, *limits]
            )
        match answer:
            case [b"ok"]:
                return None
            case [b"over"]:
                raise CallOver(who.workflow_id)
            case [b"stopped", text]:
                return _stop(text)
            case [b"breach", scope, cap, retry_ms]:
                return Breach(
                    list(Scope)[scope], list(Cap)[cap], None if retry_ms == _NONE else max(int(retry_ms), 1)
                )
        raise AssertionError(f"the script answers nothing else: {answer!r}")

    async def release(self, who: Claimant, used_s: float) -> bool:
        """The call is over, having lasted `used_s`. False: there is no claim (any more)."""
        async with reached():
            answer = await self._release(
                keys=[_claim_key(who.workflow_id), *_keys(who)], args=[who.workflow_id, round(used_s), 0]
            )
        return bool(answer)

    async def withdraw(self, who: Claimant) -> bool:
        """The call never was: as if the claim had not been made."""
        async with reached():
            answer = await self._release(
                keys=[_claim_key(who.workflow_id), *_keys(who)], args=[who.workflow_id, 0, 1]
            )
        return bool(answer)

    async def usage(self, who: Claimant, now: datetime) -> dict[Scope, Usage]:
        """What each scope uses now; for people to read, decisions are made by `claim`."""
        now_ms = int(now.timestamp() * 1000)
        found = {}
        keys = _keys(who)
        async with reached():
            for index, scope in enumerate(Scope):
                live, recent, today = keys[3 * index : 3 * index + 3]
                oldest = await self._redis.zrange(
                    recent, now_ms - 59_999, "+inf", byscore=True, withscores=True
                )
                day, calls, seconds = await self._redis.hmget(today, ["day", "calls", "seconds"])
                same_day = day is not None and int(day) == now_ms // DAY_MS
                found[scope] = Usage(
                    concurrent=await self._redis.zcount(live, f"({now_ms}", "+inf"),
                    last_minute=len(oldest),
                    oldest_ms=int(oldest[0][1]) if oldest else 0,
                    today=int(calls or 0) if same_day else 0,
                    seconds_today=int(seconds or 0) if same_day else 0,
                )
        return found

    async def stop(self, by: str, reason: str, now: datetime) -> Stop:
        """Throw the kill switch: from here on no claim is made or renewed."""
        stop = Stop(now.astimezone(UTC).isoformat(timespec="seconds"), by, reason)
        async with reached():
            await self._redis.set(STOP_KEY, json.dumps(asdict(stop), separators=(",", ":")))
        return stop

    async def resume(self) -> bool:
        """Allow dialing again. False: it was not stopped."""
        async with reached():
            return bool(await self._redis.delete(STOP_KEY))

    async def stopped(self) -> Stop | None:
        """The kill switch, when it is thrown."""
        async with reached():
            text = await self._redis.get(STOP_KEY)
        return None if text is None else _stop(text)


def _stop(text: bytes | str) -> Stop:
    """Anything in the key stops dialing, also what a hurried person wrote with redis-cli."""
    try:
        found = json.loads(text)
        return Stop(str(found["at"]), str(found["by"]), str(found["reason"]))
    except (ValueError, KeyError, TypeError):
        return Stop("", "", text.decode(errors="replace") if isinstance(text, bytes) else text)


def _claim_key(workflow_id: str) -> str:
    return f"dialing:claim:{workflow_id}"


def _keys(who: Claimant) -> list[str]:
    return [
        f"dialing:{kind}:{scope.value}:{who.scoped(scope)}"
        for scope in Scope
        for kind in ("live", "recent", "day")
    ]
