"""Watching a call: what has happened in it, and what happens, in numbered items, until it is over.

Reads the call's event stream, so that any replica can serve any watcher and go on where another one stopped.
A watcher pulls: nothing is read for one who does not take what there is, so a slow one costs a batch of
entries.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from control_plane import metrics
from control_plane.domain.events import FIRST, LAST, entry_of, sequence_of
from control_plane.errors import DependencyUnavailable, EventsExpired, InvalidField, TooManyRequests
from control_plane.service.ports import CallRepository, CallRow, EventLog, SessionStore
from control_plane.service.views import CallViews
from protos.voiceplane.events.v1 import events_pb2 as pb
from workflows.contracts import CallStatus

MAX_WATCHERS = 2000  # on this replica; each holds a connection to Redis while it waits
BLOCK_MS = 2000  # how long a silent call's watcher waits before it looks whether the call is over
OVER_BLOCK_MS = 20  # of a call that is over: nothing more will come
# A call's end is told by its stream. When Redis was away just then, Postgres knows it: asked every so many
# silences.
ASK_POSTGRES_EVERY = 5


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended."""

    status: CallStatus
    end_reason: str = ""
    error: str = ""
    duration_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Item:
    """One of `event`, `status` and `ended`. `entry`: id of the event's entry in the stream, if it has one."""

    sequence: int
    entry: str = ""
    event: pb.CallEvent | None = None
    status: CallStatus | None = None
    ended: Ended | None = None


class Watching:
    """`follow` for each watcher; after `stop` all end with DependencyUnavailable, and resume elsewhere."""

    def __init__(
        self, sessions: SessionStore, repository: CallRepository, views: CallViews, events: EventLog
    ) -> None:
        self._sessions = sessions
        self._repository = repository
        self._views = views
        self._events = events
        self._watchers = 0
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    async def follow(self, workflow_id: str, after: int) -> AsyncGenerator[Item | None]:
        """Items after number `after` (0: all); the last one has `ended`. None: nothing new for two seconds.

        Raises:
            CallNotFound: no such call.
            InvalidField: `after` is no number of this call's.
            EventsExpired: items after `after` have been dropped.
            TooManyRequests: this replica serves all the watchers it can.
            DependencyUnavailable: go on later after the last item.
        """
        status = await self._views.status(workflow_id)
        if after >= LAST:
            if after > LAST or not status.final:
                raise InvalidField(
                    {"after_sequence": "must be the sequence of an item of this call"}, where="query"
                )
            return
        with self._counted():
            kept = await self._events.kept(workflow_id)
            if kept is None and status.final:
                async for remembered in self._remembered(workflow_id, after):
                    yield remembered
                return
            if kept is not None and not kept.whole and FIRST < after < sequence_of(kept.first):
                raise EventsExpired(f"events of call {workflow_id} after this sequence were dropped")
            if after < FIRST:
                yield Item(FIRST, status=CallStatus.INITIATED)
            block_ms = OVER_BLOCK_MS if status.final else BLOCK_MS
            async for item in self._live(workflow_id, after, block_ms):
                yield item

    async def _live(self, workflow_id: str, after: int, block_ms: int) -> AsyncIterator[Item | None]:
        last = entry_of(after)
        silences = 0
        async for entry, event in self._events.follow(workflow_id, last, block_ms=block_ms):
            if self._stopped:
                raise DependencyUnavailable("this server", "it is stopping", retry_after_s=1)
            if entry == last:
                silences += 1
                ended = await self._ended(workflow_id, thoroughly=silences % ASK_POSTGRES_EVERY == 0)
                if ended is not None:
                    yield Item(LAST, ended=ended)
                    return
                yield None
                continue
            last, silences = entry, 0
            if event is None:
                continue  # unreadable; counted where it was read
            if event.WhichOneof("body") != "status_changed":
                yield Item(sequence_of(entry), entry, event=event)
                continue
            item = _status_item(entry, event.status_changed)
            if item is not None:
                yield item
                if item.ended is not None:
                    return

    async def _ended(self, workflow_id: str, *, thoroughly: bool) -> Ended | None:
        """How the call ended, once it has; without `thoroughly`, by the session alone if there is one."""
        if not thoroughly:
            session = await self._sessions.get(workflow_id)
            if session is not None and not CallStatus(session.status).final:
                return None
        status = await self._views.status(workflow_id)
        if not status.final:
            return None
        row = await self._repository.get(workflow_id)
        return _ended(row) if row is not None and CallStatus(row.status).final else Ended(status)

    async def _remembered(self, workflow_id: str, after: int) -> AsyncIterator[Item]:
        """A call whose stream has expired, from the database: its segments and turns, numbered anew."""
        row = await self._repository.get(workflow_id)
        if row is None:  # it ended a moment ago, nothing of it was ever streamed
            yield Item(LAST, ended=Ended(await self._views.status(workflow_id)))
            return
        items = [Item(FIRST, status=CallStatus.INITIATED)]
        if row.answered_at:
            items.append(Item(FIRST + 1, status=CallStatus.IN_PROGRESS))
        for event in await self._events_of(row):
            items.append(Item(FIRST + len(items), event=event))
        if after > len(items):
            raise EventsExpired(f"events of call {workflow_id} are kept as its result only")
        for item in items[after:]:
            yield item
        yield Item(LAST, ended=_ended(row))

    async def _events_of(self, row: CallRow) -> list[pb.CallEvent]:
        """By the time they ended."""
        events: list[pb.CallEvent] = []
        for each in await self._repository.transcript(row.workflow_id):
            speaker = pb.SPEAKER_CALLER if each.speaker == "caller" else pb.SPEAKER_AGENT
            segment = pb.TranscriptSegment(
                segment_id=each.segment_id,
                speaker=speaker,
                text=each.text,
                start_ms=each.start_ms,
                end_ms=each.end_ms,
                interrupted=each.interrupted,
                unheard_text=each.unheard_text,
            )
            events.append(pb.CallEvent(source=each.source, offset_ms=each.end_ms, transcript_segment=segment))
        for turn in await self._repository.turns(row.workflow_id):
            completed = pb.TurnCompleted(
                turn=turn.turn,
                caller_stopped_ms=turn.caller_stopped_ms,
                first_audio_ms=turn.first_audio_ms,
                response_ms=turn.response_ms,
                audio_ms=turn.audio_ms,
                interrupted=turn.interrupted,
            )
            at = max(turn.first_audio_ms, 0) + max(turn.audio_ms, 0)
            events.append(pb.CallEvent(source=turn.source, offset_ms=at, turn_completed=completed))
        began = datetime.fromisoformat(row.answered_at or row.created_at)
        for event in events:
            event.workflow_id = row.workflow_id
            event.at_unix_ms = int((began + timedelta(milliseconds=event.offset_ms)).timestamp() * 1000)
        return sorted(events, key=lambda event: event.offset_ms)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._watchers >= MAX_WATCHERS:
            raise TooManyRequests("this server has as many watchers as it can serve", retry_after_s=5)
        self._watchers += 1
        try:
            with metrics.WATCHERS.track_inprogress():
                yield
        finally:
            self._watchers -= 1


def _status_item(entry: str, changed: pb.StatusChanged) -> Item | None:
    """None for a status newer than this program."""
    try:
        status = CallStatus(changed.status)
    except ValueError:
        return None
    if not status.final:
        return Item(sequence_of(entry), status=status)
    ended = Ended(status, changed.end_reason, changed.error, changed.duration_seconds)
    return Item(LAST, ended=ended)


def _ended(row: CallRow) -> Ended:
    return Ended(CallStatus(row.status), row.end_reason, row.error, row.duration_seconds)
