"""API keys as they are in the database, kept for seconds: a request costs no query.

That a key was revoked is noticed within `FRESH_S`. Keys in use are asked for again beside the requests,
before that; no request waits but the first. While the database is away, what was known of a key holds for
`STALE_S`: calls go on through a restart of the database.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Protocol

import structlog

from control_plane.auth import metrics
from control_plane.auth.keys import ApiKey
from control_plane.errors import DependencyUnavailable

REFRESH_S = 5.0
FRESH_S = 10.0
STALE_S = 60.0
RETRY_S = 1.0  # between attempts while the database is away
AWAY_S = 5.0  # after a failed attempt: later it may be back, and has to be asked
NOTE_USE_EVERY = timedelta(minutes=5)
MAX_KEYS = 10_000

log = structlog.get_logger(__name__)


class KeyStore(Protocol):
    """Where keys are kept. Raises DependencyUnavailable."""

    async def find(self, key_id: str) -> ApiKey | None: ...
    async def note_use(self, key_id: str, at: datetime) -> None: ...
    async def close(self) -> None: ...


@dataclass
class _Entry:
    key: ApiKey
    asked_s: float
    use_noted: datetime | None


class KeyCache:
    """Use it in one event loop; `close` at the end."""

    def __init__(self, store: KeyStore, *, now_s: Callable[[], float] = monotonic) -> None:
        self._store = store
        self._now_s = now_s
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._asking: dict[str, asyncio.Task[ApiKey | None]] = {}
        self._failed_s = -math.inf
        self._tasks: set[asyncio.Task[Any]] = set()

    def known(self, key_id: str) -> ApiKey | None:
        """The key, if that can be said without asking anybody."""
        entry = self._entries.get(key_id)
        if entry is None:
            return None
        age_s = self._now_s() - entry.asked_s
        failed_ago_s = self._now_s() - self._failed_s
        if age_s >= REFRESH_S and failed_ago_s >= RETRY_S:
            self._ask(key_id)
        if age_s < FRESH_S:
            return entry.key
        if age_s < STALE_S and failed_ago_s < AWAY_S:
            metrics.STALE_KEYS.inc()
            return entry.key
        return None

    async def find(self, key_id: str) -> ApiKey | None:
        """The key, asked for if it is not known.

        Raises:
            DependencyUnavailable: the database is away, and the key is not known.
        """
        key = self.known(key_id)
        if key is not None:
            return key
        try:
            # Shielded: others wait for the same answer.
            return await asyncio.shield(self._ask(key_id))
        except DependencyUnavailable:
            key = self.known(key_id)
            if key is None:
                raise
            return key

    def note_use(self, key: ApiKey, now: datetime) -> None:
        """Have the database say that the key was used: now and then, and beside the request."""
        entry = self._entries.get(key.id)
        if entry is None or (entry.use_noted is not None and now - entry.use_noted < NOTE_USE_EVERY):
            return
        entry.use_noted = now
        self._beside(self._note_use(key.id, now))

    async def close(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._store.close()

    def _ask(self, key_id: str) -> asyncio.Task[ApiKey | None]:
        asking = self._asking.get(key_id)
        if asking is None:
            asking = self._asking[key_id] = self._beside(self._fetch(key_id))
            asking.add_done_callback(lambda _: self._asking.pop(key_id, None))
        return asking

    async def _fetch(self, key_id: str) -> ApiKey | None:
        # The age of an answer counts from the question: a key may be revoked while it is on its way.
        asked_s = self._now_s()
        try:
            key = await self._store.find(key_id)
        except DependencyUnavailable as error:
            self._failed_s = self._now_s()
            log.warning("API key not looked up", key=key_id, error=str(error))
            raise
        before = self._entries.pop(key_id, None)
        if key is not None:
            noted = key.last_used_at
            if before is not None and before.use_noted is not None:
                noted = max(noted or before.use_noted, before.use_noted)
            self._entries[key_id] = _Entry(key, asked_s, noted)
            if len(self._entries) > MAX_KEYS:
                self._entries.popitem(last=False)
        return key

    async def _note_use(self, key_id: str, now: datetime) -> None:
        try:
            await self._store.note_use(key_id, now)
        except DependencyUnavailable as error:
            log.warning("use of an API key not noted", key=key_id, error=str(error))

    def _beside(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work, name="api key")
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # told by whoever waited for it, and logged


def utc_now() -> datetime:
    return datetime.now(UTC)
