"""The activities of WebhookWorkflow: write down what is told, tell it, say that nobody took it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Protocol

from temporalio import activity

from control_plane.service.ports import CallRepository
from control_plane.service.webhook_ports import Delivery, WebhookLog, WebhookSender
from workflows import metrics
from workflows.webhook_contracts import TRANSCRIPT_READY, Webhook


class WebhookPorts(Protocol):
    @property
    def calls(self) -> CallRepository: ...
    @property
    def webhook_log(self) -> WebhookLog: ...
    @property
    def webhook_sender(self) -> WebhookSender: ...


class WebhookActivities:
    def __init__(self, ports: WebhookPorts) -> None:
        self._ports = ports

    @activity.defn(name="log_webhook")
    async def log_webhook(self, webhook: Webhook) -> None:
        """Once: what the log has already is what is sent."""
        data = webhook.data
        if webhook.event == TRANSCRIPT_READY:
            lines = await self._ports.calls.transcript(webhook.workflow_id)
            shown = ("speaker", "text", "start_ms", "end_ms", "interrupted", "unheard_text")
            data = data | {"transcript": [{name: asdict(line)[name] for name in shown} for line in lines]}
        body = {"id": webhook.id, "type": webhook.event, "created_at": webhook.at, "data": data}
        await self._ports.webhook_log.add(
            Delivery(
                id=webhook.id,
                workflow_id=webhook.workflow_id,
                event=webhook.event,
                url=webhook.url,
                body=json.dumps(body, separators=(",", ":")),
                created_at=webhook.at,
            )
        )

    @activity.defn(name="deliver_webhook")
    async def deliver_webhook(self, webhook: Webhook) -> None:
        """Raises WebhookNotTaken, to be tried again, and WebhookRefused, which is for good."""
        log = self._ports.webhook_log
        delivery = await log.get(webhook.id)
        assert delivery is not None, "it was logged before, and nothing is ever deleted"
        outcome = await self._ports.webhook_sender.send(delivery, activity.info().attempt)
        await log.attempted(webhook.id, outcome)
        metrics.WEBHOOKS.labels(webhook.event, "delivered" if outcome.taken else "not taken").inc()
        outcome.raise_unless_taken()

    @activity.defn(name="give_up_webhook")
    async def give_up_webhook(self, webhook: Webhook) -> None:
        await self._ports.webhook_log.give_up(webhook.id)
        metrics.WEBHOOKS.labels(webhook.event, "given up").inc()
