"""What the dialing policy and the dialer need of the outside world. Adapters implement these.

Every method raises `control_plane.errors.DependencyUnavailable` when its server can't be reached in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from control_plane.domain.dialing.caps import Breach, Caps, Scope


@dataclass(frozen=True)
class Claimant:
    """Who asks. `account`: Twilio's account sid; `key`: the principal's id; `number`: E.164."""

    workflow_id: str
    account: str
    key: str
    number: str

    def scoped(self, scope: Scope) -> str:
        """What the scope's use is counted under."""
        return {Scope.ACCOUNT: self.account, Scope.KEY: self.key, Scope.NUMBER: self.number}[scope]


@dataclass(frozen=True)
class Stop:
    """The kill switch, thrown. `at`: ISO 8601 UTC; `by`: who did it; `reason`: why, may be empty."""

    at: str
    by: str
    reason: str


class CallOver(Exception):
    """A claim was released: its call has ended, and must not be dialed."""


class Superseded(Exception):
    """A later attempt has taken over; this one must not send anything."""


class Slots(Protocol):
    """Claims under the caps, and the kill switch; Redis."""

    async def claim(
        self, who: Claimant, caps: Mapping[Scope, Caps], *, asked_s: int, lease_s: float, now: datetime
    ) -> Breach | Stop | None:
        """Take a place under every cap until `lease_s` from now, or renew it. None: done. Raises CallOver."""

    async def release(self, who: Claimant, used_s: float) -> bool: ...
    async def withdraw(self, who: Claimant) -> bool: ...
    async def stopped(self) -> Stop | None: ...


class Pacer(Protocol):
    """Turns at asking Twilio, across all workers; Redis. Times are Unix ms."""

    async def turn(self, workflow_id: str, now_ms: int, longest_wait_ms: int) -> int | None:
        """How long to wait before asking again; 0: go, the turn is used up; None: it would be too long."""

    async def hold(self, now_ms: int, for_ms: int) -> None: ...
    async def backlog_ms(self, now_ms: int) -> int: ...


class Intents(Protocol):
    """Which attempt to dial may send, and what was sent; Redis. Each method raises Superseded."""

    async def enter(self, workflow_id: str, attempt: int) -> int | None:
        """Take over. When the last request that may have placed the call was sent (Unix ms), if one was."""

    async def sending(self, workflow_id: str, attempt: int, now_ms: int) -> None: ...
    async def not_placed(self, workflow_id: str, attempt: int) -> None: ...


class Owners(Protocol):
    """Which call at Twilio belongs to which workflow; Redis."""

    async def placed(self, workflow_id: str, call_sid: str) -> None: ...
    async def owner(self, call_sid: str) -> str | None:
        """None: nobody has said so yet."""


@dataclass(frozen=True)
class Listed:
    """One entry of the do-not-call list. `at`: ISO 8601 UTC."""

    number: str
    at: str
    by: str
    reason: str


@dataclass(frozen=True)
class Entry:
    """One line of the audit. `action`: refused stop resume list unlist; empty fields do not apply."""

    at: datetime
    action: str
    by: str
    number: str = ""
    rule: str = ""
    workflow_id: str = ""
    detail: str = ""


class DoNotCall(Protocol):
    """The do-not-call list; Postgres."""

    async def has(self, number: str) -> bool: ...


class Audit(Protocol):
    """The append-only record of what was refused and of who changed the rules; Postgres."""

    def note(self, entry: Entry) -> None:
        """Write it soon. What can't be written for long is dropped, counted and in the log."""
