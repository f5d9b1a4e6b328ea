"""The Redis connection, with the short timeouts an API needs, and the mapping of its errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis import exceptions
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff

from control_plane.errors import DependencyUnavailable

CONNECT_S = 1.0
ANSWER_S = 1.0
OPERATION_S = 1.5  # everything: waiting for a connection, connecting, one retry, the answer

# Connection trouble, and a server that answers but cannot serve now.
_AWAY = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.TryAgainError,
    exceptions.MasterDownError,
)


def connect(dsn: str, *, answer_s: float = ANSWER_S, max_connections: int = 50) -> Redis:
    """A client of its own pool; no connection is made before the first command.

    A connection the server has dropped since its last use is replaced and the command sent once more: every
    command we send may run twice.

    Args:
        dsn: `redis://` address.
        answer_s: seconds to wait for an answer; a reader that blocks must give more than it blocks.
        max_connections: above it, commands wait for their turn, up to `CONNECT_S`.
    """
    pool = BlockingConnectionPool.from_url(
        dsn,
        timeout=CONNECT_S,
        socket_connect_timeout=CONNECT_S,
        socket_timeout=answer_s,
        retry=Retry(ConstantBackoff(0.02), 1),
        max_connections=max_connections,
    )
    return Redis.from_pool(pool)


@asynccontextmanager
async def reached(limit_s: float | None = OPERATION_S) -> AsyncIterator[None]:
    """Within this block, Redis being away or slower than `limit_s` is DependencyUnavailable."""
    task = asyncio.current_task()
    assert task is not None, "commands are sent from tasks"
    cancelled = task.cancelling()
    try:
        async with asyncio.timeout(limit_s):
            yield
            if task.cancelling() > cancelled:
                # The client takes a cancellation that comes while it connects for a timeout of its own, and
                # tries again: whoever cancelled us would wait for ever.
                raise asyncio.CancelledError
    except _AWAY as error:
        raise DependencyUnavailable("redis", str(error)) from error
    except TimeoutError as error:
        raise DependencyUnavailable("redis", f"no answer within {limit_s} s") from error
