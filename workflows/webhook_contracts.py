"""What crosses Temporal about webhooks; the rules of `workflows.contracts` hold here too."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

WEBHOOK_WORKFLOW = "WebhookWorkflow"

# What calls tell of, in the order in which it happens.
CALL_STARTED = "call.started"
CALL_ANSWERED = "call.answered"
CALL_ENDED = "call.ended"
TRANSCRIPT_READY = "transcript.ready"


@dataclass
class Webhook:
    """Input of WebhookWorkflow and of its activities.

    Attributes:
        id: of the delivery; the receiver knows by it what it was told before.
        workflow_id: the call's.
        at: when it happened, ISO 8601 UTC.
        data: what is told; `transcript.ready` adds the lines, which are in Postgres by then.
    """

    id: str
    workflow_id: str
    event: str
    url: str
    at: str
    data: dict[str, Any] = field(default_factory=dict)
