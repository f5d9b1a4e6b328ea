"""Whether a call may be made: gathers the facts, asks the policy, takes a place under the caps.

Asked twice for each call: when it is requested, so that the caller hears a refusal at once (`admit`), and
right before Twilio is asked (`confirm`), because the kill switch, the do-not-call list and the hour may have
changed. `release` gives the place back. Nothing here dials.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from control_plane import dialing_metrics as metrics
from control_plane.domain.dialing import policy as rules
from control_plane.domain.dialing.caps import Breach
from control_plane.domain.dialing.numbers import describe
from control_plane.domain.dialing.policy import Policy, Refusal
from control_plane.errors import DependencyUnavailable, PolicyRefused
from control_plane.service.dialing_ports import Audit, Claimant, DoNotCall, Entry, Pacer, Slots, Stop

log = structlog.get_logger(__name__)

# From the request to the workflow's first look; longer than workers are away in a deployment. Who crashes in
# between has lost a place for this long.
PENDING_S = 120.0
# Beyond a call's longest duration: its wait for a turn, ringing, and an outage at its end.
LEASE_SLACK_S = 900.0
# The list is looked at again right before dialing: a request does not wait long for Postgres.
LIST_PATIENCE_S = 0.5
# A call that would wait longer is refused: whoever asked for it has given up by then, and so has the model's
# session that was prepared for it.
MAX_WAIT_S = 100.0


@dataclass(frozen=True)
class Ask:
    """A call somebody wants. `key`: the principal's id."""

    workflow_id: str
    key: str
    number: str
    max_duration_s: int


class Admission:
    """The dialing policy in force.

    Args:
        account: Twilio's account sid, whose use is capped as a whole.
    """

    def __init__(
        self, policy: Policy, account: str, slots: Slots, pacer: Pacer, do_not_call: DoNotCall, audit: Audit
    ) -> None:
        self._policy = policy
        self._account = account
        self._slots = slots
        self._pacer = pacer
        self._do_not_call = do_not_call
        self._audit = audit

    async def check_leg(self, ask: Ask) -> None:
        """All rules but the caps, for a number that will be called as part of a call that runs: a transfer.

        Raises:
            PolicyRefused: names the rule.
            DependencyUnavailable: Redis or Postgres is away.
        """
        self._check_number(ask)
        await self.recheck(ask)

    async def admit(self, ask: Ask) -> None:
        """All rules, and a place for the time until `confirm`.

        Raises:
            PolicyRefused: names the rule; no place is taken.
            DependencyUnavailable: Redis is away.
        """
        self._check_number(ask)
        now = datetime.now(UTC)
        listed = False
        try:
            async with asyncio.timeout(LIST_PATIENCE_S):
                listed = await self._do_not_call.has(ask.number)
        except (DependencyUnavailable, TimeoutError) as error:
            log.warning("do-not-call list not read; it is before dialing", error=str(error) or "slow")
        self._check_listed(ask, listed, now)
        wait_s = await self._pacer.backlog_ms(_ms(now)) / 1000
        if wait_s > MAX_WAIT_S:
            self._raise(ask, rules.queue_full(wait_s, wait_s - MAX_WAIT_S))
        await self._claim(ask, PENDING_S, now)

    async def confirm(self, ask: Ask) -> None:
        """All rules once more, and the place for as long as the call may last.

        Raises:
            PolicyRefused: names the rule; the place is as it was, until `release`.
            DependencyUnavailable: Redis is away, or Postgres, which has the do-not-call list.
            CallOver: the call has been released.
        """
        self._check_number(ask)
        now = datetime.now(UTC)
        self._check_listed(ask, await self._do_not_call.has(ask.number), now)
        await self._claim(ask, ask.max_duration_s + LEASE_SLACK_S, now)

    async def recheck(self, ask: Ask) -> None:
        """What may have changed while the call waited for its turn: all but the caps. Raises as `confirm`."""
        self._check_listed(ask, await self._do_not_call.has(ask.number), datetime.now(UTC))
        self._raise(ask, _stopped(await self._slots.stopped()))

    async def release(self, ask: Ask, used_s: float) -> None:
        """The call is over. Raises DependencyUnavailable; repeated, it does no harm."""
        await self._slots.release(self._claimant(ask), used_s)

    async def withdraw(self, ask: Ask) -> None:
        """The call that was admitted has not been started after all; its place is free at once.

        With Redis away it is so when PENDING_S are over.
        """
        try:
            await self._slots.withdraw(self._claimant(ask))
        except DependencyUnavailable as error:
            log.warning("admission not withdrawn", workflow_id=ask.workflow_id, error=str(error))

    def _check_number(self, ask: Ask) -> None:
        self._raise(ask, rules.check_number(self._policy, describe(ask.number)))

    def _check_listed(self, ask: Ask, listed: bool, now: datetime) -> None:
        self._raise(ask, rules.check_listed(self._policy, describe(ask.number), listed, now))

    async def _claim(self, ask: Ask, lease_s: float, now: datetime) -> None:
        found = await self._slots.claim(
            self._claimant(ask), self._policy.caps, asked_s=ask.max_duration_s, lease_s=lease_s, now=now
        )
        match found:
            case Stop():
                self._raise(ask, _stopped(found))
            case Breach():
                self._raise(ask, rules.over_cap(self._policy, found))
            case None:
                pass

    def _claimant(self, ask: Ask) -> Claimant:
        return Claimant(ask.workflow_id, self._account, ask.key, ask.number)

    def _raise(self, ask: Ask, refusal: Refusal | None) -> None:
        """Count, audit and raise a refusal, if there is one."""
        if refusal is None:
            return
        metrics.REFUSED.labels(refusal.rule).inc()
        log.info("call refused", rule=refusal.rule, workflow_id=ask.workflow_id, key=ask.key)
        self._audit.note(
            Entry(
                at=datetime.now(UTC),
                action="refused",
                by=ask.key,
                number=ask.number,
                rule=refusal.rule,
                workflow_id=ask.workflow_id,
                detail=refusal.sentence,
            )
        )
        raise PolicyRefused(
            refusal.rule, refusal.sentence, field=refusal.field, retry_after_s=refusal.retry_after_s
        )


def _stopped(stop: Stop | None) -> Refusal | None:
    return rules.check_stop(None if stop is None else stop.reason)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
