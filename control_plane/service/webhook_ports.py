"""Webhooks that are sent: the log of them, and the wire. Adapters implement these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from control_plane.errors import ControlPlaneError


class WebhookNotTaken(ControlPlaneError):
    """The receiver did not take it, or could not be reached; it is sent again."""


class WebhookRefused(ControlPlaneError):
    """It is not sent again: we do not ask this URL, or the receiver said 410 Gone."""


class DeliveryNotFound(ControlPlaneError):
    """No webhook has this id."""

    def __init__(self, delivery_id: str) -> None:
        super().__init__(f"no webhook {delivery_id}")


@dataclass(frozen=True)
class Delivery:
    """One row of `webhook_deliveries`. Times are ISO 8601 UTC; `state`: pending delivered failed."""

    id: str
    workflow_id: str
    event: str
    url: str
    body: str
    created_at: str
    state: str = "pending"
    attempts: int = 0
    last_status: int = 0
    last_error: str = ""
    last_attempt_at: str = ""


@dataclass(frozen=True)
class Outcome:
    """Of one attempt. `status`: HTTP, 0 without an answer; `final`: no other attempt would help."""

    status: int
    error: str = ""
    final: bool = False

    @property
    def taken(self) -> bool:
        return 200 <= self.status < 300

    def raise_unless_taken(self) -> None:
        """Raises WebhookNotTaken or WebhookRefused."""
        if not self.taken:
            raise (WebhookRefused if self.final else WebhookNotTaken)(self.error or f"HTTP {self.status}")


class WebhookLog(Protocol):
    """Postgres."""

    async def add(self, delivery: Delivery) -> None:
        """One that is there already stays as it is."""

    async def get(self, delivery_id: str) -> Delivery | None: ...
    async def attempted(self, delivery_id: str, outcome: Outcome) -> None: ...
    async def give_up(self, delivery_id: str) -> None: ...
    async def page(
        self, *, workflow_id: str, state: str, before: Delivery | None, limit: int
    ) -> Sequence[Delivery]:
        """Newest first, those older than `before`; empty filters match all."""


class WebhookSender(Protocol):
    """HTTP."""

    async def send(self, delivery: Delivery, attempt: int) -> Outcome: ...
