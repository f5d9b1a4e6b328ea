"""Audit entries on their way to Postgres: noted at once, written in batches beside the requests.

Implements `service.dialing_ports.Audit`. A refusal costs its caller no wait for Postgres, and a flood of
refused requests no more than one statement at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict

import structlog

from control_plane import dialing_metrics as metrics
from control_plane.errors import DependencyUnavailable
from control_plane.service.dialing_ports import Entry

log = structlog.get_logger(__name__)

MAX_WAITING = 10_000  # entries; some MB, and minutes of a flood
BATCH = 500
RETRY_EVERY_S = 2.0


class BackgroundAudit:
    """`write` appends a batch, or raises DependencyUnavailable. Create and use it in one event loop."""

    def __init__(self, write: Callable[[Sequence[Entry]], Awaitable[None]]) -> None:
        self._write = write
        self._waiting: deque[Entry] = deque()
        self._writing: asyncio.Task[None] | None = None

    def note(self, entry: Entry) -> None:
        if len(self._waiting) >= MAX_WAITING:
            metrics.AUDIT_DROPPED.inc()
            fields = {name: str(value) for name, value in asdict(entry).items()}
            log.error("audit entry not written", entry=fields)
            return
        self._waiting.append(entry)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all(), name="dialing audit")

    async def flush(self) -> None:
        """Wait until everything noted so far is written."""
        if self._writing is not None:
            await asyncio.shield(self._writing)

    async def close(self) -> None:
        """Write what waits, once; what Postgres does not take now is in the log."""
        if self._writing is not None:
            self._writing.cancel()
            await asyncio.gather(self._writing, return_exceptions=True)
        left = list(self._waiting)
        self._waiting.clear()
        if not left:
            return
        try:
            await self._write(left)
        except DependencyUnavailable as error:
            metrics.AUDIT_DROPPED.inc(len(left))
            log.error("audit entries not written", count=len(left), error=str(error))

    async def _write_all(self) -> None:
        while self._waiting:
            batch = [self._waiting[index] for index in range(min(BATCH, len(self._waiting)))]
            try:
                await self._write(batch)
            except DependencyUnavailable as error:
                log.warning("audit waits for Postgres", waiting=len(self._waiting), error=str(error))
                await asyncio.sleep(RETRY_EVERY_S)
                continue
            for _ in batch:
                self._waiting.popleft()
