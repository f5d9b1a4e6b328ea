"""Which stored agent answers which of our numbers: `service.numbers.NumberTable` on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import psycopg

from control_plane.adapters.postgres_pool import PostgresPool
from control_plane.errors import AgentNotFound
from control_plane.service.numbers import Number

MAX_CONNECTIONS = 4

_PUT = """
INSERT INTO numbers (number, agent_name, variables, at, by)
VALUES (%(number)s, %(agent)s, %(variables)s, %(at)s, %(by)s)
ON CONFLICT (number) DO UPDATE
SET agent_name = %(agent)s, variables = %(variables)s, at = %(at)s, by = %(by)s
"""
_SELECT = "SELECT number, agent_name AS agent, variables, at, by FROM numbers"
_GET = f"{_SELECT} WHERE number = %(number)s"
_PAGE = f"{_SELECT} WHERE number > %(after)s ORDER BY number LIMIT %(limit)s"
_REMOVE = "DELETE FROM numbers WHERE number = %(number)s RETURNING number"


class PostgresNumbers:
    """Every method raises DependencyUnavailable."""

    def __init__(self, database_url: str) -> None:
        self._pool = PostgresPool(database_url, max_connections=MAX_CONNECTIONS)

    async def put(self, number: Number) -> None:
        """Raises AgentNotFound."""
        row = asdict(number) | {"variables": json.dumps(number.variables), "at": datetime.now(UTC)}
        try:
            async with self._pool.connection() as connection:
                await connection.execute(_PUT, row)
        except psycopg.errors.ForeignKeyViolation as error:
            raise AgentNotFound(number.agent) from error

    async def get(self, number: str) -> Number | None:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_GET, {"number": number})).fetchone()
        return None if row is None else _number(row)

    async def page(self, after: str, limit: int) -> Sequence[Number]:
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(_PAGE, {"after": after, "limit": limit})).fetchall()
        return [_number(row) for row in rows]

    async def remove(self, number: str) -> bool:
        """False: it was not there."""
        async with self._pool.connection() as connection:
            return await (await connection.execute(_REMOVE, {"number": number})).fetchone() is not None

    async def close(self) -> None:
        await self._pool.close()


def _number(row: dict[str, Any]) -> Number:
    at: datetime = row["at"]
    return Number(
        number=row["number"],
        agent=row["agent"],
        variables=json.loads(row["variables"]),
        at=at.astimezone(UTC).isoformat(),
        by=row["by"],
    )
