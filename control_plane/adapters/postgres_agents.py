"""Stored agents in PostgreSQL: `service.agents.AgentRepository`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict

from control_plane.adapters.postgres_pool import Connection, PostgresPool
from control_plane.domain.agents import AgentVersion, Profile
from control_plane.tools.definitions import dump, load
from control_plane.tools.secrets import put_back, taken_out
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings

MAX_CONNECTIONS = 5

# An archived agent's name may be taken again; its versions go on counting.
_CREATE = """
INSERT INTO agents (name, latest_version, created_at) VALUES (%(name)s, 1, %(at)s)
ON CONFLICT (name) DO UPDATE SET latest_version = agents.latest_version + 1, archived_at = NULL
WHERE agents.archived_at IS NOT NULL
RETURNING latest_version
"""
_ADVANCE = """
UPDATE agents SET latest_version = latest_version + 1
WHERE name = %(name)s AND latest_version = %(expected)s AND archived_at IS NULL
RETURNING latest_version
"""
_WRITE = """
INSERT INTO agent_versions (name, version, profile, secrets, created_at, created_by)
VALUES (%(name)s, %(version)s, %(profile)s, %(secrets)s, %(at)s, %(by)s)
"""
# Archiving twice leaves the first time.
_ARCHIVE = """
UPDATE agents SET archived_at = coalesce(archived_at, %(at)s)
WHERE name = %(name)s AND (%(expected)s = 0 OR latest_version = %(expected)s)
"""
_SELECT = """
SELECT name, version, profile, secrets, v.created_at, created_by, latest_version, archived_at
FROM agents JOIN agent_versions v USING (name)
"""
_GET = f"""{_SELECT}
WHERE name = %(name)s AND version = CASE %(version)s WHEN 0 THEN latest_version ELSE %(version)s END
"""
_LIST = f"""{_SELECT}
WHERE version = latest_version AND name > %(after)s AND (%(archived)s OR archived_at IS NULL)
ORDER BY name LIMIT %(limit)s
"""
_VERSIONS = f"""{_SELECT}
WHERE name = %(name)s AND (%(before)s = 0 OR version < %(before)s)
ORDER BY version DESC LIMIT %(limit)s
"""


class PostgresAgents:
    """Every method raises DependencyUnavailable."""

    def __init__(self, database_url: str) -> None:
        self._pool = PostgresPool(database_url, max_connections=MAX_CONNECTIONS)

    async def create(self, name: str, profile: Profile, at: datetime, by: str) -> int:
        """Write a new agent's version and answer its number; 0: the name is taken."""
        async with self._pool.connection() as connection:
            return await _write(connection, _CREATE, {"name": name, "at": at, "by": by}, profile)

    async def advance(self, name: str, profile: Profile, expected: int, at: datetime, by: str) -> int:
        """Write the version after `expected`; 0: that is not the latest (any more), or it is archived."""
        values = {"name": name, "at": at, "by": by, "expected": expected}
        async with self._pool.connection() as connection:
            return await _write(connection, _ADVANCE, values, profile)

    async def archive(self, name: str, expected: int, at: datetime) -> bool:
        """False: there is none of this name in version `expected` (0: in any)."""
        values = {"name": name, "expected": expected, "at": at}
        async with self._pool.connection() as connection:
            return (await connection.execute(_ARCHIVE, values)).rowcount > 0

    async def get(self, name: str, version: int = 0) -> AgentVersion | None:
        found = await self._rows(_GET, {"name": name, "version": version})
        return found[0] if found else None

    async def page(self, after: str, limit: int, *, archived: bool) -> Sequence[AgentVersion]:
        """By name, those after `after`."""
        return await self._rows(_LIST, {"after": after, "limit": limit, "archived": archived})

    async def versions(self, name: str, before: int, limit: int) -> Sequence[AgentVersion]:
        """The newest first, those before `before` (0: all)."""
        return await self._rows(_VERSIONS, {"name": name, "before": before, "limit": limit})

    async def close(self) -> None:
        await self._pool.close()

    async def _rows(self, query: str, values: dict[str, Any]) -> Sequence[AgentVersion]:
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(query, values)).fetchall()
        return [_version(row) for row in rows]


async def _write(connection: Connection, claim: str, values: dict[str, Any], profile: Profile) -> int:
    """Both rows or, since an exception rolls back, neither."""
    row = await (await connection.execute(claim, values)).fetchone()
    if row is None:
        return 0
    version = int(row["latest_version"])
    shown, secrets = taken_out(profile.tools)
    text = json.dumps(
        {
            "system_prompt": profile.system_prompt,
            "greeting": profile.greeting,
            "greeting_mode": profile.greeting_mode,
            "max_duration_seconds": profile.max_duration_seconds,
            "tools": json.loads(dump(shown)),
            "settings": MessageToDict(profile.settings, preserving_proto_field_name=True),
            "recording": profile.recording,
            "webhook_url": profile.webhook_url,
        }
    )
    await connection.execute(
        _WRITE, values | {"version": version, "profile": text, "secrets": json.dumps(secrets)}
    )
    return version


def _version(row: dict[str, Any]) -> AgentVersion:
    fields: dict[str, Any] = json.loads(row["profile"])
    tools = put_back(load(json.dumps(fields["tools"])), json.loads(row["secrets"]))
    # A newer version of this program may have written fields and settings we do not know.
    settings = ParseDict(fields["settings"], AgentSettings(), ignore_unknown_fields=True)
    return AgentVersion(
        name=row["name"],
        version=row["version"],
        profile=Profile(
            system_prompt=fields["system_prompt"],
            greeting=fields["greeting"],
            greeting_mode=fields["greeting_mode"],
            max_duration_seconds=fields["max_duration_seconds"],
            tools=tools,
            settings=settings,
            recording=fields["recording"],
            webhook_url=fields["webhook_url"],
        ),
        created_at=row["created_at"].astimezone(UTC),
        created_by=row["created_by"],
        latest=row["latest_version"],
        archived_at=row["archived_at"].astimezone(UTC) if row["archived_at"] is not None else None,
    )
