"""May this number be called, now, for this key? Facts go in, None or the Refusal comes out. No I/O, no clock.

The rules in their order; the first that objects is the one named:

| rule | objects to |
|---|---|
| `invalid_number` | what no network connects: a wrong length; with `known_numbers_only` also unknown ranges |
| `emergency_number`, `short_number` | 112 and other numbers that have no country code in front |
| `premium_number` | premium, shared-cost and personal numbers |
| `high_cost_number` | satellite phones and other ranges of `ranges.py`, and what `denied_prefixes` adds |
| `country_not_allowed` | countries that are not in the list |
| `kill_switch` | everything, while somebody has stopped all dialing |
| `do_not_call` | numbers of people who asked not to be called |
| `quiet_hours` | calls in the callee's night |
| `account_…`, `key_…`, `number_…` | more calls or minutes than a cap allows (`caps.py`) |
| `queue_full` | calls that would wait for their turn for too long |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from control_plane.domain.dialing.caps import Breach, Cap, Caps, Scope, Usage, breach
from control_plane.domain.dialing.numbers import Callee, Kind
from control_plane.domain.dialing.quiet_hours import QuietHours
from control_plane.domain.dialing.ranges import COSTLY_REGIONS, RANGES

EVERYWHERE = "*"


@dataclass(frozen=True)
class Refusal:
    """Why a call is not made.

    Attributes:
        rule: which rule objected; a fixed word, for programs.
        sentence: the same for people.
        field: of the request, that would have to be another.
        retry_after_s: when asking again may help; None: it will not.
    """

    rule: str
    sentence: str
    field: str = "phone_number"
    retry_after_s: int | None = None


@dataclass(frozen=True)
class Policy:
    """The settings DIALING_*, parsed.

    Attributes:
        countries: ISO 3166 codes; `*` among them: every country. Empty: there is no number to call from,
            whose country would be the one, and no call can be placed anyway.
        known_numbers_only: refuse numbers of ranges that libphonenumber does not know.
        denied_prefixes, allowed_prefixes: E.164 with `+`. The allowed ones lift premium and costly ranges
            and the country's absence from the list, for that range alone; the denied ones win.
        caps: by scope.
    """

    countries: frozenset[str] = frozenset()
    known_numbers_only: bool = False
    denied_prefixes: tuple[str, ...] = ()
    allowed_prefixes: tuple[str, ...] = ()
    quiet_hours: QuietHours | None = None
    caps: Mapping[Scope, Caps] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """What is known at the moment of asking.

    Attributes:
        now: aware.
        stopped: why all dialing was stopped; None: it was not.
        do_not_call: the number is on the list.
        usage: by scope, the call that asks left out; a scope left out is not looked at.
        asked_s: seconds the call may last.
    """

    now: datetime
    stopped: str | None = None
    do_not_call: bool = False
    usage: Mapping[Scope, Usage] = field(default_factory=dict)
    asked_s: int = 0


def evaluate(policy: Policy, callee: Callee, facts: Facts) -> Refusal | None:
    """All rules, in order."""
    return check_number(policy, callee) or check_moment(policy, callee, facts) or check_usage(policy, facts)


def check_number(policy: Policy, callee: Callee) -> Refusal | None:
    """What follows from the number alone."""
    number = callee.number
    if callee.kind is Kind.EMERGENCY:
        return Refusal("emergency_number", f"{number} is an emergency number")
    if callee.kind is Kind.SHORT:
        return Refusal("short_number", f"{number} is a short number, which has no country code")
    if callee.kind is Kind.IMPOSSIBLE:
        return Refusal("invalid_number", f"{number} is not a number that can be called from abroad")
    if callee.kind is Kind.UNKNOWN and policy.known_numbers_only:
        return Refusal("invalid_number", f"{number} is in no range that is known to be in use")
    for prefix in policy.denied_prefixes:
        if number.startswith(prefix):
            return Refusal("high_cost_number", f"numbers that begin with {prefix} are not called")
    if any(number.startswith(prefix) for prefix in policy.allowed_prefixes):
        return None
    return _check_cost(callee) or _check_country(policy, callee)


def check_moment(policy: Policy, callee: Callee, facts: Facts) -> Refusal | None:
    """What may change from one moment to the next."""
    return check_stop(facts.stopped) or check_listed(policy, callee, facts.do_not_call, facts.now)


def check_stop(stopped: str | None) -> Refusal | None:
    """`stopped`: as of Facts."""
    if stopped is None:
        return None
    return Refusal("kill_switch", "all dialing is stopped" + (f": {stopped}" if stopped else ""), field="")


def check_listed(policy: Policy, callee: Callee, do_not_call: bool, now: datetime) -> Refusal | None:
    """The callee's wishes: the do-not-call list, then quiet hours in the strictest of its time zones."""
    if do_not_call:
        return Refusal("do_not_call", f"{callee.number} is on the do-not-call list")
    if policy.quiet_hours is None:
        return None
    if not callee.zones:
        return Refusal(
            "quiet_hours",
            f"the time zone of {callee.number} is not known, and it must not be called from "
            f"{policy.quiet_hours} local time",
        )
    until = policy.quiet_hours.until(now, callee.zones)
    if until is None:
        return Refusal(
            "quiet_hours",
            f"in one or another time zone of {callee.number} it is always between {policy.quiet_hours}",
        )
    if until <= now:
        return None
    return Refusal(
        "quiet_hours",
        f"where {callee.number} is, it is or may be between {policy.quiet_hours}",
        retry_after_s=max(1, -(-(until - now) // timedelta(seconds=1))),
    )


def check_usage(policy: Policy, facts: Facts) -> Refusal | None:
    """The caps."""
    now_ms = int(facts.now.timestamp() * 1000)
    for scope in Scope:
        caps, usage = policy.caps.get(scope), facts.usage.get(scope)
        if caps is None or usage is None:
            continue
        found = breach(scope, caps, usage, facts.asked_s, now_ms)
        if found is not None:
            return over_cap(policy, found)
    return None


def over_cap(policy: Policy, found: Breach) -> Refusal:
    """The refusal for a cap that leaves no room."""
    limit = policy.caps[found.scope].limit(found.cap)
    whose = {Scope.ACCOUNT: "this account", Scope.KEY: "this API key", Scope.NUMBER: "this number"}[
        found.scope
    ]
    what = {
        Cap.CONCURRENT: f"{limit} at a time",
        Cap.PER_MINUTE: f"{limit} a minute",
        Cap.PER_DAY: f"{limit} a day",
        Cap.MINUTES_PER_DAY: f"{limit} minutes a day",
    }[found.cap]
    retry_ms = found.retry_ms
    named = {Cap.MINUTES_PER_DAY: "max_duration_seconds"}.get(found.cap, "")
    return Refusal(
        found.rule,
        f"the calls of {whose} are limited to {what}",
        field="phone_number" if found.scope is Scope.NUMBER else named,
        retry_after_s=None if retry_ms is None else max(1, -(-retry_ms // 1000)),
    )


def queue_full(wait_s: float, retry_s: float) -> Refusal:
    """Calls are placed one after the other, and the line of those waiting is too long."""
    return Refusal(
        "queue_full",
        f"the call would wait for {wait_s:.0f} s until Twilio may be asked to place it",
        field="",
        retry_after_s=max(1, round(retry_s)),
    )


def _check_cost(callee: Callee) -> Refusal | None:
    kinds = {Kind.PREMIUM: "premium", Kind.SHARED_COST: "shared-cost", Kind.PERSONAL: "personal"}
    if callee.kind in kinds:
        return Refusal("premium_number", f"{callee.number} is a {kinds[callee.kind]} number")
    for each in RANGES:
        if each.covers(callee.number):
            return Refusal("high_cost_number", f"{callee.number} is {each.what}")
    return None


def _check_country(policy: Policy, callee: Callee) -> Refusal | None:
    if not policy.countries or callee.region in policy.countries:
        return None
    if EVERYWHERE not in policy.countries:
        allowed = ", ".join(sorted(policy.countries))
        return Refusal(
            "country_not_allowed",
            f"{callee.number} is in {callee.region or 'no country'}; calls are allowed to {allowed}",
        )
    if callee.region in COSTLY_REGIONS:
        return Refusal(
            "high_cost_number", f"{callee.number} is in {callee.region}, which must be allowed by name"
        )
    return None
