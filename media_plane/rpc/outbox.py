"""Call events on their way to Redis: taken in order at once, written in batches, kept while it is away.

`append` is called from a frame's call stack and only appends to a list; a task of this file serialises and
writes. Order is kept per node, and so per call. What does not fit is dropped, counted and logged: first the
transcript deltas (their words come again in the turn's segment), and everything only at twice that depth.

The model's calls of functions are written at once, since a caller waits, and also to `tools`, the stream that
workers share.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from media_plane.rpc.convert import call_event
from media_plane.wire.events import CallEvent, ToolCalled, ToolCancelled, TranscriptDelta

log = structlog.get_logger(__name__)

BATCH = 100  # entries a write: less than half a millisecond of the loop to serialise
GATHER_S = 0.4  # events of one moment share a write, which costs the loop as much as ten audio frames
DEEP = 50_000  # events; about 10 s of 400 calls in which everybody talks. Beyond it deltas are dropped
STREAM_LENGTH = 20_000  # entries a call keeps, roughly
TOOLS = "tools"
TOOLS_LENGTH = 100_000  # entries, roughly; workers delete what is done, so that only their absence fills it
RETRY_S = (0.1, 0.2, 0.5, 1.0)  # the last one for ever

# One command and one answer whatever the number of events: with a command each, packing and parsing them
# would keep the loop from its audio for milliseconds when hundreds of calls talk.
# KEYS: streams. ARGV, for each of them: the length to keep, seconds to live (0: as they are), the number of
# entries, the entries.
_WRITE = """
local at = 1
for _, key in ipairs(KEYS) do
  local length, ttl, entries = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  for i = at + 3, at + 2 + entries do
    redis.call('XADD', key, 'MAXLEN', '~', length, '*', 'e', ARGV[i])
  end
  if ttl > 0 then redis.call('EXPIRE', key, ttl) end
  at = at + 3 + entries
end
"""


@dataclass
class OutboxCounts:
    """Events since the start; `waiting` is now."""

    written: int = 0
    dropped: int = 0
    failures: int = 0
    waiting: int = 0


class Outbox:
    """Writes `events:{workflow_id}`. `run` must be running for anything to leave."""

    def __init__(self, redis: Redis, *, source: str, ttl_s: int, epoch_ns: int, deep: int = DEEP) -> None:
        self._write = redis.register_script(_WRITE)
        self._source = source
        self._ttl_s = ttl_s
        self._epoch_ns = epoch_ns
        self._deep = deep
        self._waiting: deque[CallEvent] = deque()
        self._news = asyncio.Event()
        self._urgent = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._dropping = False
        self._draining = False
        self.counts = OutboxCounts()

    def append(self, event: CallEvent) -> None:
        """Take `event`; never waits."""
        depth = len(self._waiting)
        if depth >= self._deep and (depth >= 2 * self._deep or isinstance(event.body, TranscriptDelta)):
            self._drop(event)
            return
        self._waiting.append(event)
        self.counts.waiting = depth + 1
        self._drained.clear()
        self._news.set()
        if isinstance(event.body, ToolCalled | ToolCancelled):
            self._urgent.set()

    async def run(self) -> None:
        """Write what is appended, for ever; cancel to stop. Failures are waited out, nothing is forgotten."""
        failures = 0
        while True:
            await self._news.wait()
            if not self._draining and len(self._waiting) < BATCH:
                await self._gather()
            try:
                await self._write_batch()
            except (RedisError, OSError, TimeoutError) as error:
                if failures == 0:
                    log.warning("events wait: redis is away", waiting=len(self._waiting), error=str(error))
                self.counts.failures += 1
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1
                continue
            if failures:
                log.info("redis is back", attempts=failures, waiting=len(self._waiting))
                failures = 0
            if not self._waiting:
                self._dropping = False
                self._news.clear()
                self._drained.set()

    async def drain(self, timeout_s: float) -> bool:
        """Wait until everything taken so far is written; False when that took longer."""
        self._draining = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._drained.wait()
        except TimeoutError:
            log.error("events lost at the end: redis is away", lost=len(self._waiting))
            return False
        finally:
            self._draining = False
        return True

    async def _gather(self) -> None:
        """Let events of one moment come together, unless one of them can't wait."""
        try:
            async with asyncio.timeout(GATHER_S):
                await self._urgent.wait()
        except TimeoutError:
            pass

    async def _write_batch(self) -> None:
        """Write the oldest events and forget them; on any failure they stay.

        A batch whose answer was lost is written again: readers know an event by (source, seq).
        """
        self._urgent.clear()
        batch = [self._waiting[i] for i in range(min(BATCH, len(self._waiting)))]
        streams: dict[str, list[bytes]] = {}
        renewed = set()
        for event in batch:
            entry = call_event(event, source=self._source, epoch_ns=self._epoch_ns).SerializeToString()
            stream = f"events:{event.workflow_id}"
            streams.setdefault(stream, []).append(entry)
            if isinstance(event.body, ToolCalled | ToolCancelled):
                streams.setdefault(TOOLS, []).append(entry)
            # Deltas do not renew the time to live: every turn brings other events too.
            if not isinstance(event.body, TranscriptDelta):
                renewed.add(stream)
        arguments: list[bytes | int] = []
        for stream, entries in streams.items():
            length = TOOLS_LENGTH if stream == TOOLS else STREAM_LENGTH
            arguments += (length, self._ttl_s if stream in renewed else 0, len(entries), *entries)
        await self._write(list(streams), arguments)
        for _ in batch:
            self._waiting.popleft()
        self.counts.written += len(batch)
        self.counts.waiting = len(self._waiting)

    def _drop(self, event: CallEvent) -> None:
        self.counts.dropped += 1
        if not self._dropping:
            self._dropping = True
            log.error(
                "event dropped: too many wait for redis",
                workflow_id=event.workflow_id,
                kind=type(event.body).__name__,
                waiting=len(self._waiting),
            )
