"""`ports.CallRepository` on PostgreSQL: plain SQL through a pool of psycopg connections.

Every write may run twice and late: rows are upserted, and what is newer or more complete stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from psycopg.types.json import Jsonb

from control_plane.adapters import postgres_sql as sql
from control_plane.adapters.postgres_pool import PostgresPool
from control_plane.domain.listing import Filters, Position
from control_plane.service.ports import Batch, CallRow, Segment, Turn
from workflows.contracts import CallParams, FinishCall, RecordStatus


class PostgresCalls:
    """Create it anywhere; the pool opens with the first request."""

    def __init__(self, database_url: str, *, max_connections: int = 10) -> None:
        self._pool = PostgresPool(database_url, max_connections=max_connections)

    async def record(self, change: RecordStatus) -> None:
        row = _common(change.params, change.run_id) | {
            "status": change.status.value,
            "call_sid": change.call_sid,
            "stream_sid": change.stream_sid,
            "answered_at": _timestamp(change.answered_at),
        }
        async with self._pool.connection() as connection:
            await connection.execute(sql.RECORD, row)

    async def write(self, workflow_id: str, batch: Batch) -> None:
        # Sorted, so that two writers of overlapping batches lock rows in the same order.
        segments = sorted(batch.segments, key=lambda segment: (segment.source, segment.segment_id))
        turns = sorted(batch.turns, key=lambda turn: (turn.source, turn.turn))
        async with self._pool.connection() as connection, connection.cursor() as cursor:
            if segments:
                await cursor.executemany(sql.WRITE_SEGMENT, [_of(workflow_id, each) for each in segments])
            if turns:
                await cursor.executemany(sql.WRITE_TURN, [_of(workflow_id, each) for each in turns])
            if batch.media is not None:
                await cursor.execute(
                    sql.WRITE_MEDIA, {"workflow_id": workflow_id, "summary": Jsonb(batch.media)}
                )

    async def finish(self, result: FinishCall) -> None:
        row = _common(result.params, result.run_id) | {
            "status": result.status.value,
            "end_reason": result.end_reason.value,
            "error": result.error,
            "call_sid": result.call_sid,
            "stream_sid": result.stream_sid,
            "answered_at": _timestamp(result.answered_at),
            "ended_at": _timestamp(result.ended_at),
            "duration_seconds": result.duration_seconds,
        }
        async with self._pool.connection() as connection:
            await connection.execute(sql.FINISH, row)

    async def get(self, workflow_id: str) -> CallRow | None:
        rows = await self._select(sql.GET, workflow_id)
        if not rows:
            return None
        return _row(rows[0])

    async def page(self, filters: Filters, after: Position | None, limit: int) -> Sequence[CallRow]:
        values = {
            "statuses": [status.value for status in filters.statuses] or None,
            "phone_number": filters.phone_number or None,
            "agent_name": filters.agent_name or None,
            "created_after": filters.created_after,
            "created_before": filters.created_before,
            "last_at": _timestamp(after.created_at) if after is not None else None,
            "last_id": after.workflow_id if after is not None else None,
            "limit": limit,
        }
        async with self._pool.connection() as connection:
            cursor = await connection.execute(sql.PAGE, values)
            return [_row(row) for row in await cursor.fetchall()]

    async def transcript_count(self, workflow_id: str) -> int:
        rows = await self._select(sql.COUNT, workflow_id)
        return int(rows[0]["count"])

    async def transcript(self, workflow_id: str) -> Sequence[Segment]:
        return [Segment(**row) for row in await self._select(sql.TRANSCRIPT, workflow_id)]

    async def turns(self, workflow_id: str) -> Sequence[Turn]:
        return [Turn(**row) for row in await self._select(sql.TURNS, workflow_id)]

    async def ping(self) -> None:
        async with self._pool.connection() as connection:
            await connection.execute("SELECT 1")

    async def close(self) -> None:
        await self._pool.close()

    async def _select(self, query: str, workflow_id: str) -> list[dict[str, Any]]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, {"workflow_id": workflow_id})
            return await cursor.fetchall()


def _common(params: CallParams, run_id: str) -> dict[str, object]:
    return {
        "workflow_id": params.workflow_id,
        "call_id": params.call_id,
        "run_id": run_id,
        "phone_number": params.phone_number,
        "greeting": params.greeting,
        "system_prompt": params.system_prompt,
        "max_duration_seconds": params.max_duration_seconds,
        "created_at": _timestamp(params.created_at),
        "agent_name": params.agent_name,
        "agent_version": params.agent_version,
        "direction": params.direction,
        "own_number": params.own_number,
    }


def _of(workflow_id: str, record: Segment | Turn) -> Mapping[str, object]:
    return {"workflow_id": workflow_id, **asdict(record)}


def _row(columns: dict[str, Any]) -> CallRow:
    for name in ("created_at", "answered_at", "ended_at"):
        columns[name] = _iso(columns[name])
    return CallRow(**columns)


def _timestamp(iso: str) -> datetime | None:
    return datetime.fromisoformat(iso) if iso else None


def _iso(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat() if moment is not None else ""
