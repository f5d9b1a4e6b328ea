"""A workflow under CallWorkflow's name that only keeps what it is told, until it is told to end."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from workflows.contracts import (
        CALL_WORKFLOW,
        ERRORS,
        CallParams,
        CallStatus,
        CallView,
        MachineDetected,
        SendDtmf,
        Terminate,
        TransferLeg,
        TransferRequest,
        TwilioStatus,
    )


@workflow.defn(name=CALL_WORKFLOW)
class StandInWorkflow:
    @workflow.init
    def __init__(self, params: CallParams) -> None:
        self._params = params
        self._told: list[TwilioStatus] = []
        self._asked: list[Terminate] = []
        self._done: list[str] = []

    @workflow.run
    async def run(self, params: CallParams) -> list[str]:
        await workflow.wait_condition(lambda: bool(self._asked))
        return [request.reason for request in self._asked]

    @workflow.signal
    def twilio_status(self, status: TwilioStatus) -> None:
        self._told.append(status)

    @workflow.signal
    def machine_detected(self, told: MachineDetected) -> None:
        self._done.append(f"machine {told.answered_by} {told.after_ms}")

    @workflow.signal
    def transfer_leg(self, told: TransferLeg) -> None:
        self._done.append(f"leg {told.transfer} {told.news} {told.status}".strip())

    @workflow.signal
    def terminate(self, request: Terminate) -> None:
        self._asked.append(request)

    @workflow.update
    async def send_dtmf(self, request: SendDtmf) -> CallView:
        self._done.append(request.digits)
        return self.status()

    @send_dtmf.validator
    def _can_press(self, request: SendDtmf) -> None:
        """As the call's own workflow does: `0` finds no stream, `#` finds the line busy."""
        if request.digits == "0":
            raise ApplicationError("no stream runs", type=ERRORS.not_live)
        if request.digits == "#":
            raise ApplicationError("a transfer is under way", type=ERRORS.busy)

    @workflow.update
    async def transfer(self, request: TransferRequest) -> CallView:
        self._done.append(f"{request.mode} {request.to} {request.timeout_s} {request.summary}".strip())
        return self.status()

    @workflow.query
    def done(self) -> list[str]:
        return self._done

    @workflow.query
    def status(self) -> CallView:
        return CallView(self._params.workflow_id, CallStatus.RINGING)

    @workflow.query
    def told(self) -> list[TwilioStatus]:
        return self._told

    @workflow.query
    def params(self) -> CallParams:
        return self._params
