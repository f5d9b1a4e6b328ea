"""API keys in PostgreSQL: `auth.key_cache.KeyStore`, and what `voiceplane keys` does."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from control_plane.adapters.postgres_pool import PostgresPool
from control_plane.auth.keys import ApiKey
from control_plane.domain.principal import Scope

MAX_CONNECTIONS = 3  # each key in use asks once every few seconds

_COLUMNS = "id, name, scopes, digest, created_at, expires_at, revoked_at, last_used_at"
_ADD = """
INSERT INTO api_keys (id, name, scopes, digest, created_at, expires_at)
VALUES (%(id)s, %(name)s, %(scopes)s, %(digest)s, %(created_at)s, %(expires_at)s)
"""
_FIND = f"SELECT {_COLUMNS} FROM api_keys WHERE id = %(id)s"
_LIST = f"SELECT {_COLUMNS} FROM api_keys ORDER BY created_at, id"
# Revoking twice leaves the first time.
_REVOKE = f"""
UPDATE api_keys SET revoked_at = coalesce(revoked_at, %(at)s) WHERE id = %(id)s RETURNING {_COLUMNS}
"""
_NOTE_USE = """
UPDATE api_keys SET last_used_at = %(at)s
WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at < %(at)s)
"""


class PostgresKeys:
    """Every method raises DependencyUnavailable."""

    def __init__(self, database_url: str) -> None:
        self._pool = PostgresPool(database_url, max_connections=MAX_CONNECTIONS)

    async def add(self, key: ApiKey) -> None:
        row = {
            "id": key.id,
            "name": key.name,
            "scopes": sorted(scope.value for scope in key.scopes),
            "digest": key.digest,
            "created_at": key.created_at,
            "expires_at": key.expires_at,
        }
        async with self._pool.connection() as connection:
            await connection.execute(_ADD, row)

    async def find(self, key_id: str) -> ApiKey | None:
        found = await self._rows(_FIND, {"id": key_id})
        return found[0] if found else None

    async def all(self) -> Sequence[ApiKey]:
        """By age, the oldest first."""
        return await self._rows(_LIST, {})

    async def revoke(self, key_id: str, at: datetime) -> ApiKey | None:
        """The key as it is then; None: there is no such key."""
        found = await self._rows(_REVOKE, {"id": key_id, "at": at})
        return found[0] if found else None

    async def note_use(self, key_id: str, at: datetime) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_NOTE_USE, {"id": key_id, "at": at})

    async def close(self) -> None:
        await self._pool.close()

    async def _rows(self, query: str, values: dict[str, Any]) -> list[ApiKey]:
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(query, values)).fetchall()
        return [_key(row) for row in rows]


def _key(row: dict[str, Any]) -> ApiKey:
    times = ("created_at", "expires_at", "revoked_at", "last_used_at")
    for name in times:
        row[name] = row[name].astimezone(UTC) if row[name] is not None else None
    # A newer version of this program may have granted scopes that this one does not know.
    known = frozenset(Scope(each) for each in row["scopes"] if each in set(Scope))
    return ApiKey(**row | {"scopes": known, "digest": bytes(row["digest"])})
