"""WebhookWorkflow: one webhook, until it is delivered or a day has passed.

The call it tells of does not wait for it, and may be long over. Sent again from the delivery log, it runs
anew under another id with the same input: what is sent is in the log already, and stays as it was.
"""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from workflows.webhook_contracts import WEBHOOK_WORKFLOW, Webhook

# The log must have it before anybody is told; a database may be away overnight.
_LOG_WITHIN = timedelta(hours=24)
_LOG_RETRY = RetryPolicy(initial_interval=timedelta(seconds=0.5), maximum_interval=timedelta(seconds=30))
# Soon at first, since most failures are a deployment of the receiver; then every ten minutes for a day.
DELIVER_WITHIN = timedelta(hours=24)
_RETRY = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=3.0,
    maximum_interval=timedelta(minutes=10),
    non_retryable_error_types=["WebhookRefused"],
)
ATTEMPT = timedelta(seconds=20)


@workflow.defn(name=WEBHOOK_WORKFLOW)
class WebhookWorkflow:
    @workflow.run
    async def run(self, webhook: Webhook) -> bool:
        """Whether it was delivered."""
        await workflow.execute_activity(
            "log_webhook",
            webhook,
            start_to_close_timeout=ATTEMPT,
            schedule_to_close_timeout=_LOG_WITHIN,
            retry_policy=_LOG_RETRY,
        )
        try:
            await workflow.execute_activity(
                "deliver_webhook",
                webhook,
                start_to_close_timeout=ATTEMPT,
                schedule_to_close_timeout=DELIVER_WITHIN,
                retry_policy=_RETRY,
            )
        except ActivityError:
            await workflow.execute_activity(
                "give_up_webhook",
                webhook,
                start_to_close_timeout=ATTEMPT,
                schedule_to_close_timeout=_LOG_WITHIN,
                retry_policy=_LOG_RETRY,
            )
            return False
        return True
