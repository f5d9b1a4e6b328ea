"""How many calls and minutes the account, one API key and one callee may use. Pure: counts and a time in.

This is the rule that `adapters/dialing_slots.py` repeats inside Redis, where 200 requests for the last slot
are decided one after the other; a test holds the two to each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MINUTE_MS = 60_000
DAY_MS = 86_400_000
# What to tell who finds all slots taken: calls end when they end, and this is a fair moment to ask again.
CONCURRENT_RETRY_MS = 10_000


class Scope(StrEnum):
    """Whose use is counted. In the order in which caps are looked at."""

    ACCOUNT = "account"
    KEY = "key"
    NUMBER = "number"


class Cap(StrEnum):
    """What is limited. In the order in which caps are looked at."""

    CONCURRENT = "concurrent"
    PER_MINUTE = "per_minute"  # in any 60 s
    PER_DAY = "per_day"  # UTC days
    MINUTES_PER_DAY = "minutes_per_day"  # asked for while a call lives, used once it is over; UTC days


@dataclass(frozen=True)
class Caps:
    """The limits of one scope; None: there is none."""

    concurrent: int | None = None
    per_minute: int | None = None
    per_day: int | None = None
    minutes_per_day: int | None = None

    @classmethod
    def parse(cls, text: str) -> Caps:
        """From `concurrent=10 per_minute=60 per_day=2000`; what is left out is not limited.

        Raises:
            ValueError: says which part makes no sense.
        """
        found: dict[str, int] = {}
        for part in text.split():
            name, _, value = part.partition("=")
            if name not in set(Cap):
                raise ValueError(f"{name!r} is none of {', '.join(Cap)}")
            if not (value.isascii() and value.isdecimal() and 1 <= int(value) <= 10**9):
                raise ValueError(f"{name} must be a whole number, 1 to 1000000000, not {value!r}")
            if name in found:
                raise ValueError(f"{name} is there twice")
            found[name] = int(value)
        return cls(**found)

    def limit(self, cap: Cap) -> int | None:
        """In calls; MINUTES_PER_DAY in minutes."""
        value: int | None = getattr(self, cap.value)
        return value


@dataclass(frozen=True)
class Usage:
    """What one scope uses now, the call that asks left out.

    Attributes:
        concurrent: calls that were let through and are not over.
        last_minute: calls let through less than 60 s ago.
        oldest_ms: when the first of those was let through; Unix time in ms, 0 without any.
        today: calls let through since midnight, UTC.
        seconds_today: asked for by today's calls that live, and used by those that are over.
    """

    concurrent: int = 0
    last_minute: int = 0
    oldest_ms: int = 0
    today: int = 0
    seconds_today: int = 0


@dataclass(frozen=True)
class Breach:
    """A cap that leaves no room. `retry_ms`: from now; None: asking again will not help."""

    scope: Scope
    cap: Cap
    retry_ms: int | None

    @property
    def rule(self) -> str:
        """The name a refusal goes by: `key_concurrent`, `number_per_day`, …"""
        return f"{self.scope.value}_{self.cap.value}"


def breach(scope: Scope, caps: Caps, usage: Usage, asked_s: int, now_ms: int) -> Breach | None:
    """The first cap of this scope that a call of `asked_s` seconds would exceed; None: there is room."""
    if caps.concurrent is not None and usage.concurrent >= caps.concurrent:
        return Breach(scope, Cap.CONCURRENT, CONCURRENT_RETRY_MS)
    if caps.per_minute is not None and usage.last_minute >= caps.per_minute:
        return Breach(scope, Cap.PER_MINUTE, usage.oldest_ms + MINUTE_MS - now_ms)
    midnight_ms = DAY_MS - now_ms % DAY_MS
    if caps.per_day is not None and usage.today >= caps.per_day:
        return Breach(scope, Cap.PER_DAY, midnight_ms)
    if caps.minutes_per_day is not None:
        limit_s = caps.minutes_per_day * 60
        if asked_s > limit_s:
            return Breach(scope, Cap.MINUTES_PER_DAY, None)
        if usage.seconds_today + asked_s > limit_s:
            return Breach(scope, Cap.MINUTES_PER_DAY, midnight_ms)
    return None
