"""What is known of keys, and for how long, with the time and the database in the test's hands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from control_plane.auth.key_cache import FRESH_S, NOTE_USE_EVERY, REFRESH_S, STALE_S, KeyCache
from control_plane.auth.keys import ApiKey, generate
from control_plane.domain.principal import Scope
from control_plane.errors import DependencyUnavailable

NOW = datetime(2026, 5, 4, tzinfo=UTC)
_, KEY = generate("ci", frozenset({Scope.READ}), NOW)


class Table:
    """The keys, and how often they were asked for."""

    def __init__(self) -> None:
        self.rows: dict[str, ApiKey] = {KEY.id: KEY}
        self.asked = 0
        self.away = False
        self.uses: list[datetime] = []
        self.answering = asyncio.Event()
        self.answering.set()

    async def find(self, key_id: str) -> ApiKey | None:
        self.asked += 1
        await self.answering.wait()
        if self.away:
            raise DependencyUnavailable("postgres")
        return self.rows.get(key_id)

    async def note_use(self, key_id: str, at: datetime) -> None:
        if self.away:
            raise DependencyUnavailable("postgres")
        self.uses.append(at)

    async def close(self) -> None: ...


class World:
    def __init__(self) -> None:
        self.now_s = 1000.0
        self.table = Table()
        self.cache = KeyCache(self.table, now_s=lambda: self.now_s)

    async def settled(self) -> None:
        """Whatever runs beside the requests has run."""
        beside = [task for task in asyncio.all_tasks() if task.get_name() == "api key"]
        await asyncio.gather(*beside, return_exceptions=True)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.cache.close()


async def test_a_key_in_use_costs_no_request_a_query(world: World) -> None:
    assert world.cache.known(KEY.id) is None
    assert await world.cache.find(KEY.id) == KEY
    for _ in range(100):
        assert world.cache.known(KEY.id) == KEY
    assert world.table.asked == 1

    world.now_s += REFRESH_S
    for _ in range(100):
        assert world.cache.known(KEY.id) == KEY  # at once: it is asked for beside the requests
    await world.settled()
    assert world.table.asked == 2


async def test_a_revoked_key_is_noticed_within_the_stated_time(world: World) -> None:
    await world.cache.find(KEY.id)
    world.table.rows[KEY.id] = replace(KEY, revoked_at=NOW)

    world.now_s += FRESH_S
    assert world.cache.known(KEY.id) is None
    found = await world.cache.find(KEY.id)
    assert found is not None
    assert found.state(NOW) == "revoked"


async def test_a_key_that_was_deleted_is_not_known_any_more(world: World) -> None:
    await world.cache.find(KEY.id)
    world.table.rows.clear()

    world.now_s += REFRESH_S
    world.cache.known(KEY.id)
    await world.settled()
    assert world.cache.known(KEY.id) is None
    assert await world.cache.find(KEY.id) is None


async def test_requests_at_once_ask_once(world: World) -> None:
    found = await asyncio.gather(*(world.cache.find(KEY.id) for _ in range(50)))
    assert found == [KEY] * 50
    assert world.table.asked == 1


async def test_one_request_that_is_given_up_takes_the_answer_from_no_other(world: World) -> None:
    world.table.answering.clear()
    given_up = asyncio.create_task(world.cache.find(KEY.id))
    waiting = asyncio.create_task(world.cache.find(KEY.id))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.sleep(0)
    world.table.answering.set()
    assert await waiting == KEY


async def test_while_the_database_is_away_what_was_known_holds_for_a_minute(world: World) -> None:
    await world.cache.find(KEY.id)
    world.table.away = True
    world.now_s += FRESH_S
    assert await world.cache.find(KEY.id) == KEY
    world.now_s += STALE_S - FRESH_S - 1
    assert await world.cache.find(KEY.id) == KEY
    world.now_s += 1
    with pytest.raises(DependencyUnavailable):
        await world.cache.find(KEY.id)
    with pytest.raises(DependencyUnavailable):
        await world.cache.find("another")


async def test_an_outage_makes_no_request_wait_for_a_key_in_use(world: World) -> None:
    await world.cache.find(KEY.id)
    world.table.away = True
    for _ in range(3):
        world.now_s += REFRESH_S / 2
        world.cache.known(KEY.id)
        await world.settled()
    asked = world.table.asked

    world.now_s += REFRESH_S / 2
    assert world.cache.known(KEY.id) == KEY  # nobody is asked first
    await world.settled()
    assert world.table.asked == asked + 1
    for _ in range(10):
        world.cache.known(KEY.id)
    await world.settled()
    assert world.table.asked == asked + 1  # the next attempt comes a second later


async def test_a_revocation_during_an_outage_counts_as_soon_as_the_database_is_back(world: World) -> None:
    await world.cache.find(KEY.id)
    world.table.away = True
    world.now_s += FRESH_S
    await world.cache.find(KEY.id)
    world.table.rows[KEY.id] = replace(KEY, revoked_at=NOW)
    world.table.away = False

    world.now_s += 1
    world.cache.known(KEY.id)
    await world.settled()
    found = world.cache.known(KEY.id)
    assert found is not None
    assert found.state(NOW) == "revoked"


async def test_an_outage_that_is_over_is_no_reason_to_trust_what_was_known(world: World) -> None:
    await world.cache.find(KEY.id)
    world.table.away = True
    world.now_s += REFRESH_S
    world.cache.known(KEY.id)
    await world.settled()
    world.table.away = False
    world.table.rows[KEY.id] = replace(KEY, revoked_at=NOW)

    world.now_s += FRESH_S
    found = await world.cache.find(KEY.id)
    assert found is not None
    assert found.state(NOW) == "revoked"


async def test_use_is_noted_now_and_then(world: World) -> None:
    await world.cache.find(KEY.id)
    for minutes in range(12):
        world.cache.note_use(KEY, NOW + timedelta(minutes=minutes))
    await world.settled()
    assert world.table.uses == [NOW, NOW + NOTE_USE_EVERY, NOW + 2 * NOTE_USE_EVERY]

    world.table.away = True
    world.cache.note_use(KEY, NOW + timedelta(hours=1))
    await world.settled()


async def test_what_another_process_noted_is_not_noted_again(world: World) -> None:
    world.table.rows[KEY.id] = replace(KEY, last_used_at=NOW)
    await world.cache.find(KEY.id)
    world.cache.note_use(KEY, NOW + timedelta(minutes=1))
    await world.settled()
    assert world.table.uses == []
