"""Did the conversation really happen? Each reason why not, as a sentence; none means yes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from temporalio.client import Client as TemporalClient
from temporalio.client import WorkflowExecutionStatus

from bench.demo.analysis import CallReport

LEAST_AUDIBLE_S = 0.5  # a word; less is a click


async def shortcomings(
    report: CallReport, result: dict[str, Any], *, database_url: str, temporal_host: str
) -> Sequence[str]:
    """Asks the recording, Postgres and Temporal themselves, not the API that reports on them."""
    wrong: list[str] = []
    if report.callee_audible_s < LEAST_AUDIBLE_S:
        wrong.append(f"the callee was audible for {report.callee_audible_s:.2f} s only")
    if report.agent_audible_s < LEAST_AUDIBLE_S:
        wrong.append(f"the agent was audible for {report.agent_audible_s:.2f} s only")
    if not report.responses:
        wrong.append("the agent never answered the callee")
    if result["status"] != "completed":
        wrong.append(
            f"the call's status is {result['status']} ({result.get('error') or result['end_reason']})"
        )

    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        rows = await (
            await connection.execute(
                "SELECT speaker, count(*) FROM transcript_segments"
                " WHERE workflow_id = %s AND length(text) > 0 GROUP BY speaker",
                (report.workflow_id,),
            )
        ).fetchall()
    speakers = {str(speaker) for speaker, _ in rows}
    wrong += [f"no words of the {who} in Postgres" for who in ("caller", "agent") if who not in speakers]

    temporal = await TemporalClient.connect(temporal_host)
    execution = await temporal.get_workflow_handle(report.workflow_id).describe()
    if execution.status is not WorkflowExecutionStatus.COMPLETED:
        name = execution.status.name if execution.status is not None else "unknown"
        wrong.append(f"the workflow is {name}, not COMPLETED")
    return wrong
