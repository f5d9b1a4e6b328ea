"""The log of webhooks that were sent, and sending one again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Protocol

from control_plane.service.webhook_ports import Delivery, DeliveryNotFound, WebhookLog
from workflows.webhook_contracts import Webhook

STATES = ("pending", "delivered", "failed")
MAX_PAGE = 200


class WebhookStarter(Protocol):
    """Temporal."""

    async def send_webhook(self, webhook: Webhook) -> None:
        """Start WebhookWorkflow under an id of its own."""


class Webhooks:
    """The use cases. Each raises DependencyUnavailable."""

    def __init__(self, log: WebhookLog, starter: WebhookStarter) -> None:
        self._log = log
        self._starter = starter

    async def page(
        self, *, workflow_id: str = "", state: str = "", before: str = "", limit: int = 50
    ) -> Sequence[Delivery]:
        """Newest first; `before`: the id of the last one of the page before. Raises DeliveryNotFound."""
        last = await self.get(before) if before else None
        return await self._log.page(
            workflow_id=workflow_id, state=state, before=last, limit=min(limit, MAX_PAGE)
        )

    async def get(self, delivery_id: str) -> Delivery:
        """Raises DeliveryNotFound."""
        found = await self._log.get(delivery_id)
        if found is None:
            raise DeliveryNotFound(delivery_id)
        return found

    async def replay(self, delivery_id: str) -> Delivery:
        """Send it again, as it was sent before, with as many attempts. Raises DeliveryNotFound."""
        found = await self.get(delivery_id)
        data = json.loads(found.body)["data"]
        await self._starter.send_webhook(
            Webhook(found.id, found.workflow_id, found.event, found.url, found.created_at, data)
        )
        return found
