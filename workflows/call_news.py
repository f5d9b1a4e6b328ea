"""What a call tells its webhook, each thing by a workflow of its own that outlives the call."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from temporalio import workflow
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from workflows.call_state import CallState
    from workflows.contracts import CallParams
    from workflows.webhook_contracts import (
        CALL_ANSWERED,
        CALL_ENDED,
        CALL_STARTED,
        TRANSCRIPT_READY,
        WEBHOOK_WORKFLOW,
        Webhook,
    )


class CallNews:
    """One call's news. Without a webhook both methods do nothing, and leave nothing in the history."""

    def __init__(self, params: CallParams, state: CallState) -> None:
        self._params = params
        self._state = state

    async def while_it_lives(self) -> None:
        """Tell of its start, its answer and its end, when they happen."""
        if not self._params.webhook_url:
            return
        state = self._state
        await self._tell(CALL_STARTED, workflow.time())
        await workflow.wait_condition(lambda: state.answered_at is not None or state.over)
        if state.answered_at is not None:
            await self._tell(CALL_ANSWERED, state.answered_at)
        await workflow.wait_condition(lambda: state.over)
        ended = {
            "end_reason": str(state.end_reason or ""),
            "error": state.error,
            "duration_seconds": round(state.duration_s, 3),
        }
        await self._tell(CALL_ENDED, state.ended_at or workflow.time(), ended)

    async def result_written(self) -> None:
        """Tell that the transcript is complete, and what it says."""
        if self._params.webhook_url:
            await self._tell(TRANSCRIPT_READY, workflow.time())

    async def _tell(self, event: str, at: float, more: dict[str, Any] | None = None) -> None:
        params = self._params
        data = {
            "workflow_id": params.workflow_id,
            "direction": str(params.direction),
            "phone_number": params.phone_number,
            "agent": params.agent_name,
            "status": self._state.status.value,
            "call_sid": self._state.call_sid,
            **(more or {}),
        }
        id_ = f"{params.workflow_id}.{event}"
        moment = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
        with suppress(WorkflowAlreadyStartedError):  # of a call that was reset in Temporal: told before
            await workflow.start_child_workflow(
                WEBHOOK_WORKFLOW,
                Webhook(id_, params.workflow_id, event, params.webhook_url, moment, data),
                id=f"webhook-{id_}",
                parent_close_policy=ParentClosePolicy.ABANDON,
            )
