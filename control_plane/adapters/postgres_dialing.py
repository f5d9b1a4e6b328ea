"""The do-not-call list and the dialing audit on PostgreSQL (tables do_not_call, dialing_audit).

Every change of the list is audited in the transaction that makes it. The audit is append-only: the database
itself refuses to change or delete what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from control_plane.adapters.postgres_pool import Connection, PostgresPool
from control_plane.service.dialing_ports import Entry, Listed

_HAS = "SELECT 1 FROM do_not_call WHERE number = %(number)s"
_ADD = """
INSERT INTO do_not_call (number, at, by, reason)
SELECT number, %(at)s, %(by)s, %(reason)s FROM unnest(%(numbers)s::text[]) AS number
ON CONFLICT (number) DO NOTHING RETURNING number
"""
_REMOVE = "DELETE FROM do_not_call WHERE number = %(number)s RETURNING number"
_PAGE = """
SELECT number, at, by, reason FROM do_not_call WHERE number > %(after)s ORDER BY number LIMIT %(limit)s
"""
_NOTE = """
INSERT INTO dialing_audit (at, action, by, number, rule, workflow_id, detail)
VALUES (%(at)s, %(action)s, %(by)s, %(number)s, %(rule)s, %(workflow_id)s, %(detail)s)
"""
_RECENT = """
SELECT at, action, by, number, rule, workflow_id, detail FROM dialing_audit ORDER BY id DESC LIMIT %(limit)s
"""


class PostgresDialing:
    """Implements `service.dialing_ports.DoNotCall`; writes the audit for `adapters.dialing_audit`."""

    def __init__(self, database_url: str, *, max_connections: int = 4) -> None:
        self._pool = PostgresPool(database_url, max_connections=max_connections)

    async def has(self, number: str) -> bool:
        async with self._pool.connection() as connection:
            found = await connection.execute(_HAS, {"number": number})
            return await found.fetchone() is not None

    async def add(self, numbers: Sequence[str], by: str, reason: str) -> list[str]:
        """Put these on the list; answers those that were not there."""
        now = datetime.now(UTC)
        row = {"numbers": list(dict.fromkeys(numbers)), "at": now, "by": by, "reason": reason}
        async with self._pool.connection() as connection:
            added = [each["number"] for each in await (await connection.execute(_ADD, row)).fetchall()]
            await _write(connection, [Entry(now, "list", by, each, detail=reason) for each in added])
        return added

    async def remove(self, number: str, by: str) -> bool:
        """Take it off the list. False: it was not there."""
        now = datetime.now(UTC)
        async with self._pool.connection() as connection:
            found = await (await connection.execute(_REMOVE, {"number": number})).fetchone()
            if found is not None:
                await _write(connection, [Entry(now, "unlist", by, number)])
        return found is not None

    async def page(self, after: str, limit: int) -> list[Listed]:
        """Up to `limit` entries whose number comes after `after`, in the order of numbers."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_PAGE, {"after": after, "limit": limit})).fetchall()
        return [
            Listed(row["number"], row["at"].astimezone(UTC).isoformat(), row["by"], row["reason"])
            for row in rows
        ]

    async def write(self, entries: Sequence[Entry]) -> None:
        """Append to the audit."""
        async with self._pool.connection() as connection:
            await _write(connection, entries)

    async def audit(self, limit: int) -> list[Entry]:
        """The newest entries, newest first."""
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_RECENT, {"limit": limit})).fetchall()
        return [Entry(**row) for row in rows]

    async def close(self) -> None:
        await self._pool.close()


async def _write(connection: Connection, entries: Sequence[Entry]) -> None:
    if entries:
        async with connection.cursor() as cursor:
            await cursor.executemany(_NOTE, [asdict(each) for each in entries])
