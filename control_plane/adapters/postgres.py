"""`ports.CallRepository` on PostgreSQL: plain SQL through a pool of psycopg connections.

Every write may run twice and late: rows are upserted, and what is newer or more complete stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from control_plane.adapters import postgres_sql as sql
from control_plane.errors import DependencyUnavailable
from control_plane.service.ports import Batch, CallRow, Segment, Turn
from workflows.contracts import CallParams, FinishCall, RecordStatus

CONNECT_S = 2  # libpq takes whole seconds, and no less than 2
WAIT_S = 2.0  # for a free connection
OPERATION_S = 5.0  # everything; a write of one batch takes milliseconds
MAX_WAITING = 500  # requests queued for a connection; more are told to come back

Connection = psycopg.AsyncConnection[DictRow]


class PostgresCalls:
    """Opened lazily: the API starts, and answers what it can, while Postgres is away."""

    def __init__(self, database_url: str, *, max_connections: int = 10) -> None:
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            database_url,
            connection_class=psycopg.AsyncConnection[DictRow],
            kwargs={
                "row_factory": dict_row,
                "connect_timeout": CONNECT_S,
                "application_name": "voiceplane",
                # The server gives up when we have: a lock held elsewhere must not pile up statements.
                "options": f"-c statement_timeout={int(OPERATION_S * 1000)}",
            },
            min_size=1,
            max_size=max_connections,
            max_waiting=MAX_WAITING,
            timeout=WAIT_S,
            # Give a failed attempt up soon: the next request starts a new one, so an outage's end is noticed
            # within seconds and not after the pool's back-off has grown to minutes.
            reconnect_timeout=3.0,
            check=self._check,
            open=False,
        )
        self._opening = asyncio.Lock()

    async def record(self, change: RecordStatus) -> None:
        row = _common(change.params, change.run_id) | {
            "status": change.status.value,
            "call_sid": change.call_sid,
            "stream_sid": change.stream_sid,
            "answered_at": _timestamp(change.answered_at),
        }
        async with self._connection() as connection:
            await connection.execute(sql.RECORD, row)

    async def write(self, workflow_id: str, batch: Batch) -> None:
        # Sorted, so that two writers of overlapping batches lock rows in the same order.
        segments = sorted(batch.segments, key=lambda segment: (segment.source, segment.segment_id))
        turns = sorted(batch.turns, key=lambda turn: (turn.source, turn.turn))
        async with self._connection() as connection, connection.cursor() as cursor:
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
        async with self._connection() as connection:
            await connection.execute(sql.FINISH, row)

    async def get(self, workflow_id: str) -> CallRow | None:
        rows = await self._select(sql.GET, workflow_id)
        if not rows:
            return None
        row = rows[0]
        for name in ("created_at", "answered_at", "ended_at"):
            row[name] = _iso(row[name])
        return CallRow(**row)

    async def transcript_count(self, workflow_id: str) -> int:
        rows = await self._select(sql.COUNT, workflow_id)
        return int(rows[0]["count"])

    async def transcript(self, workflow_id: str) -> Sequence[Segment]:
        return [Segment(**row) for row in await self._select(sql.TRANSCRIPT, workflow_id)]

    async def turns(self, workflow_id: str) -> Sequence[Turn]:
        return [Turn(**row) for row in await self._select(sql.TURNS, workflow_id)]

    async def ping(self) -> None:
        async with self._connection() as connection:
            await connection.execute("SELECT 1")

    async def close(self) -> None:
        await self._pool.close()

    async def _select(self, query: str, workflow_id: str) -> list[dict[str, Any]]:
        async with self._connection() as connection:
            cursor = await connection.execute(query, {"workflow_id": workflow_id})
            return await cursor.fetchall()

    async def _check(self, connection: Connection) -> None:
        """Before a request gets a connection: a server that was restarted has left dead ones here."""
        try:
            await AsyncConnectionPool.check_connection(connection)
        except psycopg.Error:
            await self._pool.check()  # where one is dead all may be; replace them now, not one a request
            raise

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """A connection in a transaction: committed at the block's end, rolled back by an exception."""
        try:
            async with asyncio.timeout(OPERATION_S):
                if self._pool.closed:
                    async with self._opening:
                        await self._pool.open()
                async with self._pool.connection() as connection:
                    yield connection
        except (PoolTimeout, PoolClosed, TooManyRequests, psycopg.OperationalError) as error:
            raise DependencyUnavailable("postgres", str(error)) from error
        except psycopg.InterfaceError as error:  # the connection broke under us
            raise DependencyUnavailable("postgres", str(error)) from error
        except TimeoutError as error:
            raise DependencyUnavailable("postgres", f"no answer within {OPERATION_S} s") from error


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
    }


def _of(workflow_id: str, record: Segment | Turn) -> Mapping[str, object]:
    return {"workflow_id": workflow_id, **asdict(record)}


def _timestamp(iso: str) -> datetime | None:
    return datetime.fromisoformat(iso) if iso else None


def _iso(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat() if moment is not None else ""
