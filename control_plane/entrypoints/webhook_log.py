"""`/webhooks/deliveries`: what was told to whom, what became of it, and telling it again. For admins."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel

from control_plane.entrypoints.problems import problems
from control_plane.service.webhook_ports import Delivery
from control_plane.service.webhooks import MAX_PAGE, Webhooks


class WebhookDelivery(BaseModel):
    """One webhook. Times are ISO 8601 UTC; `last_status` is 0 where there was no answer."""

    id: str
    workflow_id: str
    event: str
    url: str
    created_at: str
    state: Literal["pending", "delivered", "failed"]
    attempts: int
    last_status: int
    last_error: str
    last_attempt_at: str

    @classmethod
    def of(cls, delivery: Delivery) -> WebhookDelivery:
        return cls(**{name: getattr(delivery, name) for name in cls.model_fields})


class WebhookWithBody(WebhookDelivery):
    """The same with what is sent."""

    body: dict[str, Any]

    @classmethod
    def of(cls, delivery: Delivery) -> WebhookWithBody:
        shown = {name: getattr(delivery, name) for name in WebhookDelivery.model_fields}
        return cls(**shown, body=json.loads(delivery.body))


class WebhookDeliveries(BaseModel):
    """A page, newest first. `next`: give it as `before`; empty: this was the last."""

    deliveries: list[WebhookDelivery]
    next: str


def new_router(webhooks: Webhooks) -> APIRouter:
    router = APIRouter(prefix="/webhooks/deliveries", tags=["webhooks"])

    @router.get("", responses=problems("WEBHOOK_NOT_FOUND"))
    async def list_webhooks(
        workflow_id: Annotated[str, Query(max_length=64, description="of this call alone")] = "",
        state: Literal["", "pending", "delivered", "failed"] = "",
        before: Annotated[str, Query(max_length=100, description="`next` of the page before")] = "",
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    ) -> WebhookDeliveries:
        """Webhooks that were sent or are about to be."""
        found = await webhooks.page(
            workflow_id=_text(workflow_id), state=state, before=_text(before), limit=limit
        )
        following = found[-1].id if len(found) == limit else ""
        return WebhookDeliveries(deliveries=[WebhookDelivery.of(each) for each in found], next=following)

    @router.get("/{delivery_id}", responses=problems("WEBHOOK_NOT_FOUND"))
    async def get_webhook(delivery_id: str) -> WebhookWithBody:
        """One webhook, with its body."""
        return WebhookWithBody.of(await webhooks.get(_text(delivery_id)))

    @router.post("/{delivery_id}/replay", status_code=202, responses=problems("WEBHOOK_NOT_FOUND"))
    async def replay_webhook(delivery_id: str) -> WebhookDelivery:
        """Send it again, as it was; the answer shows it as it was before."""
        return WebhookDelivery.of(await webhooks.replay(_text(delivery_id)))

    return router


def _text(given: str) -> str:
    """Without what no text in Postgres may hold, and so no id has."""
    return given.replace("\0", "\ufffd")
