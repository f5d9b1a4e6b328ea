"""What CallWorkflow asks of Twilio and of the media node for a call's line: keys, messages, transfers."""

from __future__ import annotations

from typing import Protocol

from temporalio import activity
from temporalio.exceptions import ApplicationError

from control_plane.domain import twiml
from control_plane.errors import CallNotLive, DialAmbiguous, DialRefused, PolicyRefused
from control_plane.service.dialing import Admission, Ask
from control_plane.service.ports import LineNodes, SessionStore, Telephony
from workflows.contracts import ERRORS, CallPerson, Dialed, ExpectedStream, ExpectStream, Steer, TellAgent


class LinePorts(Protocol):
    @property
    def sessions(self) -> SessionStore: ...
    @property
    def nodes(self) -> LineNodes: ...
    @property
    def telephony(self) -> Telephony: ...
    @property
    def admission(self) -> Admission: ...
    @property
    def base_url(self) -> str: ...
    @property
    def own_number(self) -> str: ...


class LineActivities:
    def __init__(self, ports: LinePorts) -> None:
        self._ports = ports

    @activity.defn(name="expect_stream")
    async def expect_stream(self, request: ExpectStream) -> ExpectedStream:
        try:
            url = await self._ports.nodes.expect_stream(
                request.grpc_address, request.workflow_id, request.within_s
            )
        except CallNotLive as exc:
            raise ApplicationError(str(exc), type=ERRORS.not_live, non_retryable=True) from exc
        return ExpectedStream(url)

    @activity.defn(name="steer_call")
    async def steer_call(self, request: Steer) -> None:
        """Repeated, it begins anew: keys are pressed twice if Twilio's answer to the first was lost."""
        hooks = twiml.Hooks(self._ports.base_url, request.workflow_id)
        if request.keys:
            document = twiml.keys(hooks, request.keys, request.stream_url, request.stream)
        elif request.message:
            document = twiml.message(request.message)
        elif request.dial_to:
            # Where the caller goes when nobody answers, there before Twilio can ask.
            await self._ports.sessions.update(request.workflow_id, stream_url=request.stream_url)
            caller_id = request.own_number or self._ports.own_number
            document = twiml.dial(hooks, request.dial_to, caller_id, request.timeout_s, request.transfer)
        else:
            document = twiml.conference(request.room)
        if not await self._ports.telephony.steer(request.call_sid, document):
            raise ApplicationError("the call is over", type=ERRORS.not_live, non_retryable=True)

    @activity.defn(name="call_person")
    async def call_person(self, request: CallPerson) -> Dialed:
        hooks = twiml.Hooks(self._ports.base_url, request.workflow_id)
        try:
            # The person may have been put on the list since the transfer was asked for, or the line stopped.
            await self._ports.admission.check_leg(Ask(request.workflow_id, request.principal, request.to, 0))
            placed = await self._ports.telephony.call_person(
                to=request.to,
                twiml=twiml.whisper(hooks, request.summary, request.transfer),
                status_callback=hooks.leg(request.transfer),
                timeout_s=request.timeout_s,
                time_limit_s=request.max_duration_seconds,
            )
        except (DialRefused, DialAmbiguous, PolicyRefused) as exc:
            raise ApplicationError(str(exc), type=type(exc).__name__, non_retryable=True) from exc
        return Dialed(placed.call_sid)

    @activity.defn(name="tell_agent")
    async def tell_agent(self, request: TellAgent) -> None:
        try:
            await self._ports.nodes.send_text(
                request.node_id, request.workflow_id, request.text, instruct=True
            )
        except CallNotLive as exc:
            raise ApplicationError(str(exc), type=ERRORS.not_live, non_retryable=True) from exc
