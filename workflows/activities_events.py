"""follow_events: from a call's event stream to Postgres, every two seconds, and to the workflow, at once.

Nothing is lost: the stream in Redis holds what is not written yet, heartbeats carry the last entry written,
and whoever takes over goes on after it. Nothing is doubled: rows are upserted by what identifies them, and
the workflow ignores a fact it was told before.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.service import RPCError, RPCStatusCode

from control_plane.errors import DependencyUnavailable
from control_plane.service.ports import Batch
from workflows import metrics
from workflows.activities import Ports
from workflows.contracts import Followed, FollowEvents, StreamStarted
from workflows.event_fold import EventFold, Fact

_log = structlog.get_logger(__name__)

WRITE_EVERY_S = 2.0
BLOCK_MS = 500  # how soon a shutdown, a due write or a cancellation is noticed in a silent call
HEARTBEAT_EVERY_S = 1.0
RETRY_EVERY_S = 1.0  # Redis, Postgres or Temporal away
# An hour of lively talk. While more than this is unwritten, reading waits: the stream keeps the rest.
MAX_PENDING = 2000


class EventActivities:
    def __init__(self, ports: Ports, *, write_every_s: float = WRITE_EVERY_S) -> None:
        self._ports = ports
        self._write_every_s = write_every_s

    @activity.defn(name="follow_events")
    async def follow_events(self, request: FollowEvents) -> Followed:
        details = activity.info().heartbeat_details
        last, open_sources = (details[0], tuple(details[1])) if details else ("0-0", ())
        follower = _Follower(self._ports, request, EventFold(last, open_sources), self._write_every_s)
        with metrics.FOLLOWERS.track_inprogress():
            return await follower.run()


@dataclass(frozen=True)
class _Position:
    """Up to where everything is in Postgres; what heartbeats carry."""

    last: str
    open_sources: tuple[str, ...]


class _Follower:
    def __init__(self, ports: Ports, request: FollowEvents, fold: EventFold, write_every_s: float) -> None:
        self._ports = ports
        self._workflow_id = request.workflow_id
        self._drain = request.drain
        self._fold = fold
        self._write_every_s = write_every_s
        self._loop = asyncio.get_running_loop()
        self._written = _Position(fold.last, fold.open_sources)
        self._writing: asyncio.Task[None] | None = None
        self._next_write = 0.0
        self._next_heartbeat = 0.0

    async def run(self) -> Followed:
        try:
            while not await self._read():
                # Redis is away; the media node keeps its events until it is back.
                self._heartbeat()
                await asyncio.sleep(RETRY_EVERY_S)
            await self._write_all()
            segments = await self._count()
        finally:
            if self._writing is not None:
                self._writing.cancel()
                await asyncio.gather(self._writing, return_exceptions=True)
        return Followed(last_entry=self._written.last, segments=segments)

    async def _read(self) -> bool:
        """Read until the stream's end: True. False when Redis went away."""
        entries = self._ports.events.follow(self._workflow_id, self._fold.last, block_ms=BLOCK_MS)
        try:
            async for entry_id, event in entries:
                silent = entry_id == self._fold.last
                fact = self._fold.take(entry_id, event)
                if not silent:
                    metrics.EVENTS_READ.inc()
                if fact is not None and not self._drain:
                    await self._tell(fact)
                if self._fold.ended or (self._drain and silent):
                    return True
                self._write_if_due()
                self._heartbeat()
                while self._fold.pending > MAX_PENDING:
                    await self._pause()
                if activity.is_worker_shutdown():
                    await self._hand_over()
        except DependencyUnavailable as exc:
            _log.warning("can't read the event stream", workflow_id=self._workflow_id, error=str(exc))
        return False

    # -- to Postgres ---------------------------------------------------------------------------------------

    def _write_if_due(self) -> None:
        if self._writing is not None and self._writing.done():
            self._writing = None
        if self._writing is not None:
            return
        if not self._fold.pending:
            self._written = _Position(self._fold.last, self._fold.open_sources)
        elif self._loop.time() >= self._next_write:
            self._next_write = self._loop.time() + self._write_every_s
            position = _Position(self._fold.last, self._fold.open_sources)
            # Beside the reading: the workflow hears of the stream's end even while Postgres is slow.
            self._writing = asyncio.create_task(self._write(self._fold.cut(), position))

    async def _write(self, batch: Batch, position: _Position) -> None:
        try:
            await self._ports.calls.write(self._workflow_id, batch)
        except DependencyUnavailable as exc:
            metrics.WRITES_FAILED.inc()
            self._fold.put_back(batch)
            _log.warning("can't write the transcript yet", workflow_id=self._workflow_id, error=str(exc))
        else:
            self._written = position

    async def _pause(self) -> None:
        """Let a write get on, for as long as a heartbeat may wait."""
        self._write_if_due()
        if self._writing is not None:
            await asyncio.wait([self._writing], timeout=HEARTBEAT_EVERY_S)
        else:
            await asyncio.sleep(max(0.0, min(self._next_write - self._loop.time(), HEARTBEAT_EVERY_S)))
        self._heartbeat()
        if activity.is_worker_shutdown():
            await self._hand_over()

    async def _write_all(self) -> None:
        self._next_write = 0.0
        while self._fold.pending or self._writing is not None:
            self._write_if_due()
            if self._fold.pending or self._writing is not None:
                await self._pause()
        self._write_if_due()

    async def _count(self) -> int:
        while True:
            try:
                return await self._ports.calls.transcript_count(self._workflow_id)
            except DependencyUnavailable:
                self._heartbeat()
                await asyncio.sleep(RETRY_EVERY_S)

    # -- to Temporal ---------------------------------------------------------------------------------------

    def _heartbeat(self) -> None:
        if self._loop.time() >= self._next_heartbeat:
            self._next_heartbeat = self._loop.time() + HEARTBEAT_EVERY_S
            activity.heartbeat(self._written.last, list(self._written.open_sources))

    async def _tell(self, fact: Fact) -> None:
        """Signal the workflow. Reading waits for it: an entry passed over here would not be told again."""
        info = activity.info()
        assert info.workflow_id is not None, "only workflows start this activity"
        workflow = activity.client().get_workflow_handle(info.workflow_id, run_id=info.workflow_run_id)
        name = "stream_started" if isinstance(fact, StreamStarted) else "stream_ended"
        while True:
            try:
                await workflow.signal(name, fact)
            except RPCError as exc:
                if exc.status is RPCStatusCode.NOT_FOUND:
                    return  # the workflow is over; nobody is left to tell
                _log.warning("can't signal the workflow", workflow_id=self._workflow_id, error=str(exc))
                self._heartbeat()
                await asyncio.sleep(RETRY_EVERY_S)
            else:
                return

    async def _hand_over(self) -> None:
        """This worker is going: write what there is, once, and let the next attempt go on after it."""
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        self._next_write = 0.0
        self._write_if_due()
        if self._writing is not None:
            await asyncio.gather(self._writing, return_exceptions=True)
        activity.heartbeat(self._written.last, list(self._written.open_sources))
        raise ApplicationError(
            "the worker is shutting down", type="WorkerShutdown", category=ApplicationErrorCategory.BENIGN
        )
