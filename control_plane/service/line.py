"""What may be done to a call while it lives: say something, press keys, hand it over."""

from __future__ import annotations

from control_plane.domain import principal
from control_plane.errors import CallNotFound, CallNotLive
from control_plane.service.dialing import Admission, Ask
from control_plane.service.ports import CallRepository, Orchestrator, SessionStore, SpokenText
from control_plane.service.views import find_status
from workflows.contracts import CallStatus, LeaveVoicemail, SendDtmf, TransferRequest


class Line:
    """The use cases. Each raises CallNotFound, CallNotLive, DependencyUnavailable."""

    def __init__(
        self,
        sessions: SessionStore,
        repository: CallRepository,
        orchestrator: Orchestrator,
        spoken: SpokenText,
        admission: Admission,
    ) -> None:
        self._sessions = sessions
        self._repository = repository
        self._orchestrator = orchestrator
        self._spoken = spoken
        self._admission = admission

    async def send_text(self, workflow_id: str, text: str, *, instruct: bool) -> CallStatus:
        """Give the model a text: to say it or, with `instruct`, to know it."""
        status = await self._answered(workflow_id)
        session = await self._sessions.get(workflow_id)
        if session is None or not session.node_id:
            raise CallNotLive(f"no media node holds call {workflow_id}")
        await self._spoken.send_text(session.node_id, workflow_id, text, instruct=instruct)
        return status

    async def send_dtmf(self, workflow_id: str, digits: str) -> CallStatus:
        """Raises CallBusy too."""
        await self._answered(workflow_id)
        try:
            return (await self._orchestrator.send_dtmf(workflow_id, SendDtmf(digits))).status
        except CallNotFound as error:
            raise CallNotLive(f"call {workflow_id} is over") from error

    async def transfer(self, workflow_id: str, request: TransferRequest) -> CallStatus:
        """Raises CallBusy too, and PolicyRefused: the person is called, like anyone else."""
        await self._answered(workflow_id)
        await self._admission.check_leg(Ask(workflow_id, principal.current().id, request.to, 0))
        try:
            return (await self._orchestrator.transfer(workflow_id, request)).status
        except CallNotFound as error:
            raise CallNotLive(f"call {workflow_id} is over") from error

    async def leave_voicemail(self, workflow_id: str, message: str) -> CallStatus:
        """Say the message to the machine that answered, and end the call. Raises CallBusy too."""
        await self._answered(workflow_id)
        try:
            return (await self._orchestrator.leave_voicemail(workflow_id, LeaveVoicemail(message))).status
        except CallNotFound as error:
            raise CallNotLive(f"call {workflow_id} is over") from error

    async def _answered(self, workflow_id: str) -> CallStatus:
        """The workflow and the node decide; this spares them what can't succeed."""
        status = await find_status(self._sessions, self._repository, workflow_id)
        if status.final:
            raise CallNotLive(f"call {workflow_id} is over: {status}")
        return status
