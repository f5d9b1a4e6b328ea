"""The log of webhooks on PostgreSQL, table webhook_deliveries. Implements `webhook_ports.WebhookLog`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from control_plane.adapters.postgres_pool import PostgresPool
from control_plane.service.webhook_ports import Delivery, Outcome

_COLUMNS = ", ".join(field.name for field in fields(Delivery))
_ADD = """
INSERT INTO webhook_deliveries (id, workflow_id, event, url, body, created_at)
VALUES (%(id)s, %(workflow_id)s, %(event)s, %(url)s, %(body)s, %(created_at)s) ON CONFLICT (id) DO NOTHING
"""
_GET = f"SELECT {_COLUMNS} FROM webhook_deliveries WHERE id = %(id)s"
# A webhook that was delivered once stays delivered, whatever becomes of sending it again.
_ATTEMPTED = """
UPDATE webhook_deliveries SET attempts = attempts + 1, last_status = %(status)s, last_error = %(error)s,
    last_attempt_at = %(now)s,
    state = CASE WHEN %(taken)s OR state = 'delivered' THEN 'delivered' ELSE 'pending' END
WHERE id = %(id)s
"""
_GIVE_UP = "UPDATE webhook_deliveries SET state = 'failed' WHERE id = %(id)s AND state <> 'delivered'"
_PAGE = f"""
SELECT {_COLUMNS} FROM webhook_deliveries
WHERE (%(workflow_id)s = '' OR workflow_id = %(workflow_id)s) AND (%(state)s = '' OR state = %(state)s)
  AND (%(last_at)s::timestamptz IS NULL OR (created_at, id) < (%(last_at)s, %(last_id)s))
ORDER BY created_at DESC, id DESC LIMIT %(limit)s
"""
MAX_ERROR = 500  # characters kept


class PostgresWebhooks:
    """Create it anywhere; the pool opens with the first request."""

    def __init__(self, database_url: str, *, max_connections: int = 4) -> None:
        self._pool = PostgresPool(database_url, max_connections=max_connections)

    async def add(self, delivery: Delivery) -> None:
        row = {
            "id": delivery.id,
            "workflow_id": delivery.workflow_id,
            "event": delivery.event,
            "url": delivery.url,
            "body": delivery.body,
            "created_at": datetime.fromisoformat(delivery.created_at),
        }
        await self._execute(_ADD, row)

    async def get(self, delivery_id: str) -> Delivery | None:
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_GET, {"id": delivery_id})).fetchone()
        return None if row is None else _delivery(row)

    async def attempted(self, delivery_id: str, outcome: Outcome) -> None:
        row = {
            "id": delivery_id,
            "status": outcome.status,
            "error": outcome.error[:MAX_ERROR].replace("\0", ""),
            "taken": outcome.taken,
            "now": datetime.now(UTC),
        }
        await self._execute(_ATTEMPTED, row)

    async def give_up(self, delivery_id: str) -> None:
        await self._execute(_GIVE_UP, {"id": delivery_id})

    async def page(
        self, *, workflow_id: str, state: str, before: Delivery | None, limit: int
    ) -> Sequence[Delivery]:
        row = {
            "workflow_id": workflow_id,
            "state": state,
            "last_at": datetime.fromisoformat(before.created_at) if before is not None else None,
            "last_id": before.id if before is not None else "",
            "limit": limit,
        }
        async with self._pool.connection() as connection:
            return [_delivery(each) for each in await (await connection.execute(_PAGE, row)).fetchall()]

    async def close(self) -> None:
        await self._pool.close()

    async def _execute(self, statement: str, row: dict[str, Any]) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(statement, row)


def _delivery(row: dict[str, Any]) -> Delivery:
    times = {name: _iso(row[name]) for name in ("created_at", "last_attempt_at")}
    return Delivery(**row | times)


def _iso(moment: datetime | None) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds") if moment is not None else ""
