"""What may be asked about a call. Reads go straight to the stores: Redis for what is live, then Postgres."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.json_format import ParseDict

from control_plane.domain.calls import furthest, is_workflow_id
from control_plane.errors import CallNotFound, CallNotOver, DependencyUnavailable
from control_plane.service.ports import CallRepository, CallRow, Segment, Session, SessionStore, Turn
from protos.voiceplane.events.v1.events_pb2 import MediaSummary
from workflows.contracts import CallStatus


@dataclass(frozen=True)
class CallState:
    """A call as it is now."""

    workflow_id: str
    status: CallStatus
    transcript_count: int
    phone_number: str
    greeting: str
    system_prompt: str
    max_duration_seconds: int


@dataclass(frozen=True)
class CallOutcome:
    """A call that is over."""

    row: CallRow
    status: CallStatus
    transcript: Sequence[Segment]
    turns: Sequence[Turn]
    media: MediaSummary | None  # None: no media leg ever ended for it


@dataclass(frozen=True)
class ResponseTimes:
    """How long the caller waited for answers, milliseconds; None: nothing was answered."""

    turns: int
    p50_ms: int | None
    max_ms: int | None


class CallViews:
    """The queries, over the ports they need."""

    def __init__(self, sessions: SessionStore, repository: CallRepository) -> None:
        self._sessions = sessions
        self._repository = repository

    async def status(self, workflow_id: str) -> CallStatus:
        """Raises CallNotFound, DependencyUnavailable."""
        return await find_status(self._sessions, self._repository, workflow_id)

    async def call(self, workflow_id: str) -> CallState:
        """Raises CallNotFound, DependencyUnavailable."""
        session, row = await _find(self._sessions, self._repository, workflow_id)
        config = session or row
        if config is None:
            raise CallNotFound(workflow_id)
        return CallState(
            workflow_id=workflow_id,
            status=_status(session, row),
            transcript_count=await self._repository.transcript_count(workflow_id),
            phone_number=config.phone_number,
            greeting=config.greeting,
            system_prompt=config.system_prompt,
            max_duration_seconds=config.max_duration_seconds,
        )

    async def result(self, workflow_id: str) -> CallOutcome:
        """Raises CallNotFound, CallNotOver, DependencyUnavailable."""
        if not is_workflow_id(workflow_id):
            raise CallNotFound(workflow_id)
        row = await self._repository.get(workflow_id)
        if row is None or not CallStatus(row.status).final:
            session = await self._sessions.get(workflow_id)
            if row is None and session is None:
                raise CallNotFound(workflow_id)
            raise CallNotOver(workflow_id, _status(session, row).value)
        return CallOutcome(
            row=row,
            status=CallStatus(row.status),
            transcript=await self._repository.transcript(workflow_id),
            turns=await self._repository.turns(workflow_id),
            media=ParseDict(row.media, MediaSummary(), ignore_unknown_fields=True) if row.media else None,
        )


def response_times(turns: Sequence[Turn]) -> ResponseTimes:
    """Over the turns that answered the caller; a greeting answers nobody."""
    times = [turn.response_ms for turn in turns if turn.response_ms >= 0]
    if not times:
        return ResponseTimes(0, None, None)
    return ResponseTimes(len(times), round(statistics.median(times)), max(times))


async def find_status(sessions: SessionStore, repository: CallRepository, workflow_id: str) -> CallStatus:
    """The call's status, by whichever of Redis and Postgres knows more.

    Raises:
        CallNotFound: neither knows the call.
        DependencyUnavailable: one that could know it is away, and the other does not know it.
    """
    return _status(*await _find(sessions, repository, workflow_id))


async def _find(
    sessions: SessionStore, repository: CallRepository, workflow_id: str
) -> tuple[Session | None, CallRow | None]:
    """At least one of the two. A final session needs no second opinion; either store may be away."""
    if not is_workflow_id(workflow_id):
        raise CallNotFound(workflow_id)
    away: DependencyUnavailable | None = None
    session: Session | None = None
    row: CallRow | None = None
    try:
        session = await sessions.get(workflow_id)
    except DependencyUnavailable as error:
        away = error
    if session is None or not CallStatus(session.status).final:
        try:
            row = await repository.get(workflow_id)
        except DependencyUnavailable as error:
            away = away or error
    if session is None and row is None:
        raise away or CallNotFound(workflow_id)
    return session, row


def _status(session: Session | None, row: CallRow | None) -> CallStatus:
    known = [CallStatus(each.status) for each in (row, session) if each is not None]
    return known[0] if len(known) == 1 else furthest(*known)
