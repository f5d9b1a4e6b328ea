"""What operators do about dialing while calls go on: stop it, keep the do-not-call list, look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog

from control_plane.domain.dialing.caps import Caps, Scope, Usage
from control_plane.domain.dialing.policy import Policy
from control_plane.errors import DependencyUnavailable
from control_plane.service.dialing_ports import Claimant, Entry, Listed, Slots, Stop

log = structlog.get_logger(__name__)

MAX_PAGE = 1000


class Switch(Slots, Protocol):
    """The kill switch's other side."""

    async def stop(self, by: str, reason: str, now: datetime) -> Stop: ...
    async def resume(self) -> bool: ...
    async def usage(self, who: Claimant, now: datetime) -> Mapping[Scope, Usage]: ...


class Backlog(Protocol):
    async def backlog_ms(self, now_ms: int) -> int: ...


class Table(Protocol):
    """The do-not-call list and the audit."""

    async def has(self, number: str) -> bool: ...
    async def add(self, numbers: Sequence[str], by: str, reason: str) -> list[str]: ...
    async def remove(self, number: str, by: str) -> bool: ...
    async def page(self, after: str, limit: int) -> list[Listed]: ...
    async def write(self, entries: Sequence[Entry]) -> None: ...
    async def audit(self, limit: int) -> list[Entry]: ...


@dataclass(frozen=True)
class DialingStatus:
    """`usage` and `caps`: of the account; `waiting_s`: how long a call asked for now waits for its turn."""

    stop: Stop | None
    usage: Usage
    caps: Caps
    waiting_s: float


class DialingRules:
    """The use cases. `by` is who asks: a principal's id, or `cli:` and the user's name. Every method raises
    DependencyUnavailable when Redis or Postgres, whichever it needs, is away."""

    def __init__(self, policy: Policy, account: str, switch: Switch, backlog: Backlog, table: Table) -> None:
        self._policy = policy
        self._account = account
        self._switch = switch
        self._backlog = backlog
        self._table = table

    async def stop(self, by: str, reason: str) -> Stop:
        """From here on nothing rings that does not ring yet. In force at once, Postgres or not."""
        now = datetime.now(UTC)
        stop = await self._switch.stop(by, reason, now)
        await self._audit(Entry(now, "stop", by, detail=reason))
        return stop

    async def resume(self, by: str) -> bool:
        """Dial again. False: it was not stopped."""
        resumed = await self._switch.resume()
        if resumed:
            await self._audit(Entry(datetime.now(UTC), "resume", by))
        return resumed

    async def status(self) -> DialingStatus:
        now = datetime.now(UTC)
        usage = await self._switch.usage(Claimant("", self._account, "", ""), now)
        return DialingStatus(
            stop=await self._switch.stopped(),
            usage=usage[Scope.ACCOUNT],
            caps=self._policy.caps.get(Scope.ACCOUNT, Caps()),
            waiting_s=await self._backlog.backlog_ms(int(now.timestamp() * 1000)) / 1000,
        )

    async def page(self, after: str = "", limit: int = 100) -> list[Listed]:
        """Entries of the do-not-call list in the order of their numbers, at most MAX_PAGE."""
        return await self._table.page(after, min(limit, MAX_PAGE))

    async def is_listed(self, number: str) -> bool:
        return await self._table.has(number)

    async def add(self, numbers: Sequence[str], by: str, reason: str = "") -> Sequence[str]:
        """Never call these (E.164, checked) again; answers those that were not on the list yet."""
        return await self._table.add(numbers, by, reason)

    async def remove(self, number: str, by: str) -> bool:
        """Take a number off the list. False: it was not there."""
        return await self._table.remove(number, by)

    async def audit(self, limit: int = 100) -> Sequence[Entry]:
        """What was refused and changed, newest first."""
        return await self._table.audit(limit)

    async def _audit(self, entry: Entry) -> None:
        try:
            await self._table.write([entry])
        except DependencyUnavailable as error:
            # The switch must work in whatever is going on; then the log is its only record.
            log.error("not audited", action=entry.action, by=entry.by, detail=entry.detail, error=str(error))
