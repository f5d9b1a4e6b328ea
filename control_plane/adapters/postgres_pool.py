"""A pool of connections to PostgreSQL, opened when it is first used, and the mapping of its errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from control_plane.errors import DependencyUnavailable

CONNECT_S = 2  # libpq takes whole seconds, and no less than 2
WAIT_S = 2.0  # for a free connection
OPERATION_S = 5.0  # everything; a write of one batch takes milliseconds
MAX_WAITING = 500  # requests queued for a connection; more are told to come back

Connection = psycopg.AsyncConnection[DictRow]


class PostgresPool:
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

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in a transaction: committed at the block's end, rolled back by an exception.

        Raises:
            DependencyUnavailable: there is none in time, or it broke.
        """
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

    async def close(self) -> None:
        await self._pool.close()

    async def _check(self, connection: Connection) -> None:
        """Before a request gets a connection: a server that was restarted has left dead ones here."""
        try:
            await AsyncConnectionPool.check_connection(connection)
        except psycopg.Error:
            await self._pool.check()  # where one is dead all may be; replace them now, not one a request
            raise
