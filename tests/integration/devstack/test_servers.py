"""The embedded servers answer as their own clients ask."""

from __future__ import annotations

import psycopg
import redis.asyncio as redis
from temporalio.client import Client

from tests.support.stack import Servers


async def test_postgres_has_the_database(servers: Servers) -> None:
    async with await psycopg.AsyncConnection.connect(servers.database_url) as connection:
        row = await (await connection.execute("SELECT current_database(), version()")).fetchone()
    assert row is not None
    assert row[0] == "voiceplane"
    assert row[1].startswith("PostgreSQL 18")


async def test_valkey_has_streams(servers: Servers) -> None:
    async with redis.from_url(servers.redis_url) as client:
        entry = await client.xadd("devstack:test", {"e": b"x"})
        assert await client.xrange("devstack:test") == [(entry, {b"e": b"x"})]
        await client.delete("devstack:test")


async def test_temporal_serves_the_default_namespace(servers: Servers) -> None:
    client = await Client.connect(servers.temporal_host)
    assert [workflow async for workflow in client.list_workflows("WorkflowId = 'none'")] == []
