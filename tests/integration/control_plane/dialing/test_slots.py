"""Claims under caps, on a real Valkey."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from control_plane.adapters import redis_client
from control_plane.adapters.dialing_slots import STOP_KEY, RedisSlots
from control_plane.domain.dialing.caps import DAY_MS, MINUTE_MS, Breach, Cap, Caps, Scope, Usage, breach
from control_plane.service.dialing_ports import CallOver, Claimant, Stop
from tests.support.stack import Servers

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
async def redis(servers: Servers) -> AsyncIterator[Redis]:
    redis = redis_client.connect(servers.redis_url.rsplit("/", 1)[0] + "/6", max_connections=300)
    await redis.delete(STOP_KEY)
    yield redis
    await redis.delete(STOP_KEY)
    await redis.aclose()


@pytest.fixture
def slots(redis: Redis) -> RedisSlots:
    return RedisSlots(redis)


def someone(key: str = "", number: str = "", account: str = "") -> Claimant:
    unique = uuid.uuid4().hex
    return Claimant(
        f"call-{unique}", account or f"AC{unique}", key or f"key:{unique}", number or f"+{unique}"
    )


def another(who: Claimant) -> Claimant:
    return Claimant(f"call-{uuid.uuid4()}", who.account, who.key, who.number)


async def claim(
    slots: RedisSlots,
    who: Claimant,
    caps: dict[Scope, Caps],
    *,
    now: datetime = NOON,
    asked_s: int = 60,
    lease_s: float = 120,
) -> str:
    """The rule that refused; empty: the claim was made."""
    found = await slots.claim(who, caps, asked_s=asked_s, lease_s=lease_s, now=now)
    if isinstance(found, Breach):
        return found.rule
    return "" if found is None else "stopped"


async def test_of_200_requests_for_the_last_place_one_wins(slots: RedisSlots) -> None:
    first = someone()
    caps = {Scope.KEY: Caps(concurrent=2)}
    assert await claim(slots, first, caps) == ""

    answers = await asyncio.gather(*(claim(slots, another(first), caps) for _ in range(200)))

    assert sorted(answers) == ["", *["key_concurrent"] * 199]
    assert (await slots.usage(first, NOON))[Scope.KEY].concurrent == 2


@pytest.mark.parametrize("scope", Scope)
async def test_a_place_is_free_again_when_the_call_is_over(slots: RedisSlots, scope: Scope) -> None:
    one = someone()
    caps = {scope: Caps(concurrent=1)}
    assert await claim(slots, one, caps) == ""
    assert await claim(slots, another(one), caps) == f"{scope.value}_concurrent"
    assert await slots.release(one, 30)
    assert not await slots.release(one, 30)
    assert await claim(slots, another(one), caps) == ""


async def test_others_have_places_of_their_own(slots: RedisSlots) -> None:
    one = someone()
    caps = {Scope.KEY: Caps(concurrent=1), Scope.NUMBER: Caps(concurrent=1)}
    assert await claim(slots, one, caps) == ""
    assert await claim(slots, someone(account=one.account), caps) == ""


async def test_a_refused_call_takes_nothing_anywhere(slots: RedisSlots) -> None:
    one = someone()
    caps = {Scope.ACCOUNT: Caps(per_day=5), Scope.KEY: Caps(per_minute=5), Scope.NUMBER: Caps(concurrent=1)}
    await claim(slots, one, caps)
    for _ in range(20):
        assert await claim(slots, another(one), caps) == "number_concurrent"
    usage = await slots.usage(one, NOON)
    assert [each.today for each in usage.values()] == [1, 1, 1]


async def test_a_claim_made_twice_is_one(slots: RedisSlots) -> None:
    one = someone()
    caps = {Scope.KEY: Caps(concurrent=1, per_minute=1, per_day=1, minutes_per_day=1)}
    for _ in range(3):
        assert await claim(slots, one, caps) == ""
    assert (await slots.usage(one, NOON))[Scope.KEY] == Usage(1, 1, int(NOON.timestamp() * 1000), 1, 60)


async def test_a_place_that_nobody_gives_back_is_free_when_its_lease_is_over(slots: RedisSlots) -> None:
    one = someone()
    caps = {Scope.KEY: Caps(concurrent=1)}
    await claim(slots, one, caps, lease_s=120)
    soon, later = NOON + timedelta(seconds=119), NOON + timedelta(seconds=121)
    assert await claim(slots, another(one), caps, now=soon) == "key_concurrent"
    assert await claim(slots, another(one), caps, now=later) == ""
    # Its own call comes too late, and must ask like anyone else.
    assert await claim(slots, one, caps, now=later) == "key_concurrent"


async def test_a_renewed_lease_is_never_shorter(slots: RedisSlots) -> None:
    one = someone()
    caps = {Scope.KEY: Caps(concurrent=1)}
    await claim(slots, one, caps, lease_s=3600)
    await claim(slots, one, caps, lease_s=10)
    assert await claim(slots, another(one), caps, now=NOON + timedelta(seconds=3000)) == "key_concurrent"


async def test_a_call_that_is_over_gets_no_place(slots: RedisSlots) -> None:
    one = someone()
    await claim(slots, one, {})
    await slots.release(one, 1)
    with pytest.raises(CallOver):
        await claim(slots, one, {})


async def test_minutes_not_used_are_given_back(slots: RedisSlots) -> None:
    one = someone()
    caps = {Scope.KEY: Caps(minutes_per_day=10)}
    assert await claim(slots, one, caps, asked_s=600) == ""
    assert await claim(slots, another(one), caps, asked_s=60) == "key_minutes_per_day"
    await slots.release(one, 125.4)
    assert (await slots.usage(one, NOON))[Scope.KEY].seconds_today == 125
    assert await claim(slots, another(one), caps, asked_s=475) == ""


async def test_a_call_that_never_was_leaves_no_trace(slots: RedisSlots) -> None:
    one = someone()
    caps = {Scope.KEY: Caps(concurrent=1, per_minute=1, per_day=1, minutes_per_day=1)}
    await claim(slots, one, caps)
    assert await slots.withdraw(one)
    assert (await slots.usage(one, NOON))[Scope.KEY] == Usage()
    assert await claim(slots, one, caps) == ""  # and may still come to be


async def test_a_new_day_begins_at_midnight_and_yesterdays_calls_do_not_touch_it(slots: RedisSlots) -> None:
    one = someone()
    caps = {Scope.KEY: Caps(per_day=1, minutes_per_day=100)}
    midnight = NOON + timedelta(hours=12)
    await claim(slots, one, caps, asked_s=3600, now=midnight - timedelta(seconds=1))
    assert await claim(slots, another(one), caps, now=midnight - timedelta(seconds=1)) == "key_per_day"
    assert await claim(slots, another(one), caps, now=midnight) == ""
    await slots.release(one, 5)
    assert (await slots.usage(one, midnight))[Scope.KEY].seconds_today == 60


async def test_all_keys_end_by_themselves(slots: RedisSlots, redis: Redis) -> None:
    one = someone()
    await claim(slots, one, {}, now=datetime.now(UTC))
    await slots.release(one, 1)
    await claim(slots, another(one), {}, now=datetime.now(UTC))
    keys = [key async for key in redis.scan_iter("dialing:*")]
    mine = [key for key in keys if any(part in key.decode() for part in (one.account, one.key, one.number))]
    assert len(mine) == 9
    assert all([await redis.ttl(key) > 0 for key in keys])


async def test_the_kill_switch_stops_all_claims_until_it_is_lifted(slots: RedisSlots) -> None:
    one = someone()
    assert await claim(slots, one, {}) == ""
    stop = await slots.stop("cli:ann", "a key was stolen", NOON)
    assert stop == Stop("2026-01-05T12:00:00+00:00", "cli:ann", "a key was stolen")
    assert await slots.stopped() == stop
    assert await slots.claim(one, {}, asked_s=1, lease_s=1, now=NOON) == stop  # admitted, but not dialed yet
    assert await slots.claim(someone(), {}, asked_s=1, lease_s=1, now=NOON) == stop
    assert await slots.resume()
    assert not await slots.resume()
    assert await claim(slots, one, {}) == ""


async def test_whatever_is_in_its_key_is_the_kill_switch_thrown(slots: RedisSlots, redis: Redis) -> None:
    await redis.set(STOP_KEY, "redis-cli, in a hurry")
    assert await claim(slots, someone(), {}) == "stopped"
    assert await slots.stopped() == Stop("", "", "redis-cli, in a hurry")


# -- the script and the rule it repeats ----------------------------------------------------------------------


@dataclass
class Model:
    """The same in Python: what is claimed, and `caps.breach` to decide."""

    caps: dict[Scope, Caps]
    live: dict[str, int] = field(default_factory=dict)  # workflow id to the end of its lease
    asked: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # to when, day, seconds

    def claim(self, name: str, asked_s: int, lease_ms: int, now_ms: int) -> Breach | None:
        self.live = {each: end for each, end in self.live.items() if end > now_ms}
        for scope, caps in self.caps.items():
            recent = [at for at, _, _ in self.asked.values() if at > now_ms - MINUTE_MS]
            today = [seconds for _, day, seconds in self.asked.values() if day == now_ms // DAY_MS]
            usage = Usage(len(self.live), len(recent), min(recent, default=0), len(today), sum(today))
            if name in self.asked:
                usage, caps = Usage(usage.concurrent), Caps(caps.concurrent)
                if name in self.live:
                    continue
            found = breach(scope, caps, usage, asked_s, now_ms)
            if found is not None:
                return found
        self.live[name] = max(self.live.get(name, 0), now_ms + lease_ms)
        self.asked.setdefault(name, (now_ms, now_ms // DAY_MS, asked_s))
        return None

    def release(self, name: str, used_s: int) -> None:
        if name in self.asked:
            self.live.pop(name, None)
            at, day, _ = self.asked[name]
            self.asked[name] = (at, day, used_s)


_CAPS = st.builds(
    Caps,
    concurrent=st.none() | st.integers(1, 3),
    per_minute=st.none() | st.integers(1, 3),
    per_day=st.none() | st.integers(1, 5),
    minutes_per_day=st.none() | st.integers(1, 5),
)
_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["claim", "claim", "release"]),
        st.integers(0, 6),  # whose
        st.integers(1, 200),  # seconds asked for or used
        st.sampled_from([0, 1, 20_000, 59_999, 60_000, 4 * 3_600_000]),  # ms that pass before
    ),
    max_size=14,
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(caps=_CAPS, steps=_STEPS)
async def test_the_script_decides_as_the_rule_does(
    slots: RedisSlots, caps: Caps, steps: list[object]
) -> None:
    template = someone()
    model = Model({Scope.ACCOUNT: Caps(), Scope.KEY: caps})
    now_ms = int(NOON.timestamp() * 1000)
    released = set()
    for step, whose, seconds, passes in steps:  # type: ignore[misc]
        now_ms += passes
        name = f"{template.workflow_id}-{whose}"
        who = Claimant(name, template.account, template.key, template.number)
        if name in released:
            continue
        if step == "release":
            if await slots.release(who, seconds):
                released.add(name)
            model.release(name, seconds)
            continue
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        found = await slots.claim(who, model.caps, asked_s=seconds, lease_s=90, now=now)
        assert found == model.claim(name, seconds, 90_000, now_ms)


def test_caps_and_scopes_are_in_the_scripts_order() -> None:
    assert [each.value for each in Scope] == ["account", "key", "number"]
    assert [each.value for each in Cap] == ["concurrent", "per_minute", "per_day", "minutes_per_day"]
