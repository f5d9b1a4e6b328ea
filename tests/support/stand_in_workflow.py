"""A workflow under CallWorkflow's name that only keeps what it is told, until it is told to end."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows.contracts import CALL_WORKFLOW, CallParams, CallStatus, CallView, Terminate, TwilioStatus


@workflow.defn(name=CALL_WORKFLOW)
class StandInWorkflow:
    @workflow.init
    def __init__(self, params: CallParams) -> None:
        self._params = params
        self._told: list[TwilioStatus] = []
        self._asked: list[Terminate] = []

    @workflow.run
    async def run(self, params: CallParams) -> list[str]:
        await workflow.wait_condition(lambda: bool(self._asked))
        return [request.reason for request in self._asked]

    @workflow.signal
    def twilio_status(self, status: TwilioStatus) -> None:
        self._told.append(status)

    @workflow.signal
    def terminate(self, request: Terminate) -> None:
        self._asked.append(request)

    @workflow.query
    def status(self) -> CallView:
        return CallView(self._params.workflow_id, CallStatus.RINGING)

    @workflow.query
    def told(self) -> list[TwilioStatus]:
        return self._told

    @workflow.query
    def params(self) -> CallParams:
        return self._params
