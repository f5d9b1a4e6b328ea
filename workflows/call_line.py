"""What is done to a call's telephone line while it lives: keys, messages, handing it over to a person.

Twilio takes the call from its stream for each of these. Where a stream is to come back, the node that holds
the model's session is told first, and keeps it; what it all means for the call is decided in
workflows.call_state. Workflow code: deterministic, no I/O but activities.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from workflows.call_errors import error_text
    from workflows.call_state import Away, CallState
    from workflows.contracts import (
        ERRORS,
        CallParams,
        CallPerson,
        Dialed,
        EndMedia,
        ExpectedStream,
        ExpectStream,
        HangUp,
        PreparedMedia,
        Steer,
        TellAgent,
        TransferLeg,
        TransferRequest,
    )
    from workflows.policies import (
        CALL_PERSON,
        END_MEDIA,
        EXPECT_STREAM,
        HANG_UP,
        STEER_CALL,
        TELL_AGENT,
    )

# From Twilio's taking the update to the new stream's start, beside what happens in between: the agent's
# sentence, Twilio's own time, a webhook of up to 15 s.
COMES_BACK_S = 25.0
KEY_S = 0.3  # of tone and pause; `w` is half a second
WAIT_KEY_S = 0.5
# A person who has answered hears the summary, presses a key, and is joined: 2000 bytes take two minutes.
WHISPER_S = 180.0

_NOT_TAKEN = {
    "busy": "the line is busy",
    "no-answer": "nobody answered",
    "failed": "the number could not be reached",
    "canceled": "the call was canceled",
    "completed": "the person did not take the call",
}


class CallLine:
    """One call's line. `media`: the node's answer, once there is one; its stream_url is where a stream goes
    next."""

    def __init__(self, params: CallParams, state: CallState) -> None:
        self.media: PreparedMedia | None = None
        self._params = params
        self._state = state
        self._streams = 0  # that were told to leave
        self._transfers = 0
        self._person: asyncio.Task[None] | None = None
        self._news: TransferLeg | None = None  # of the person of a warm transfer

    def check_free(self) -> None:
        """Raises ApplicationError `not_live` or `busy`; for validators."""
        if not self._state.live or self.media is None:
            raise ApplicationError("the call has no stream now", type=ERRORS.not_live)
        if self._state.busy:
            raise ApplicationError("keys or a transfer are under way", type=ERRORS.busy)

    async def press(self, keys: str) -> None:
        """Have keys played to the callee; the stream comes back by itself. Raises as `check_free`."""
        pressing_s = sum(WAIT_KEY_S if key == "w" else KEY_S for key in keys)
        await self._leave(Away.KEYS, pressing_s + COMES_BACK_S, self._steer(keys=keys))

    async def leave_message(self, message: str) -> None:
        """Have the message said, and the call ended. Raises as `check_free`."""
        self._state.leaves(Away.MESSAGE, workflow.time())
        await self._do(self._steer(message=message))

    async def transfer(self, request: TransferRequest) -> None:
        """Begin to hand the call over. Raises as `check_free`."""
        self._transfers += 1
        if request.mode == "warm":
            await self._call_person(request)
            return
        steer = self._steer(dial_to=request.to, timeout_s=request.timeout_s, transfer=self._transfers)
        await self._leave(Away.DIALING, request.timeout_s + COMES_BACK_S, steer)

    async def leg(self, told: TransferLeg) -> None:
        """News of the person."""
        state = self._state
        if told.transfer != self._transfers:
            return
        if state.ringing_person:
            if self._news is None or told.news == "accepted":
                self._news = told
        elif state.away is Away.DIALING and told.news == "answered":
            state.handed_over()
            await self._release_media()
        elif state.away is Away.DIALING and told.news == "over":
            await workflow.wait_condition(lambda: state.over or state.away is not Away.DIALING)
            await self._tell_not_taken(told.status)

    async def close(self) -> None:
        """The call is over: let go of a person who still rings."""
        if self._person is not None:
            await workflow.wait([self._person])

    # -- the line ------------------------------------------------------------------------------------------

    def _steer(
        self,
        *,
        keys: str = "",
        message: str = "",
        dial_to: str = "",
        room: str = "",
        timeout_s: int = 0,
        transfer: int = 0,
    ) -> Steer:
        self._streams += 1
        return Steer(
            workflow_id=self._params.workflow_id,
            call_sid=self._state.call_sid,
            keys=keys,
            message=message,
            dial_to=dial_to,
            room=room,
            stream=self._streams,
            transfer=transfer,
            timeout_s=timeout_s,
            own_number=self._params.own_number,
        )

    async def _leave(self, what: Away, within_s: float, steer: Steer) -> None:
        """Take the call from its stream for a while."""
        assert self.media is not None, "a call without media is not live"
        self._state.leaves(what, workflow.time(), within_s)
        expect = ExpectStream(self._params.workflow_id, self.media.grpc_address, within_s)
        try:
            expected: ExpectedStream = await workflow.execute_activity(
                "expect_stream", expect, result_type=ExpectedStream, **EXPECT_STREAM
            )
        except ActivityError as exc:
            self._state.stays()
            raise ApplicationError(f"the media node: {error_text(exc)}", type=ERRORS.not_live) from exc
        self.media = replace(self.media, stream_url=expected.stream_url)
        steer.stream_url = expected.stream_url
        await self._do(steer)

    async def _do(self, steer: Steer) -> None:
        try:
            await workflow.execute_activity("steer_call", steer, **STEER_CALL)
        except ActivityError as exc:
            self._state.stays()
            raise ApplicationError(f"Twilio: {error_text(exc)}", type=ERRORS.not_live) from exc

    async def _release_media(self) -> None:
        assert self.media is not None, "a call without media is not live"
        end = EndMedia(self._params.workflow_id, self.media.grpc_address, "transferred")
        try:
            await workflow.execute_activity("end_media", end, **END_MEDIA)
        except ActivityError as exc:
            workflow.logger.warning("could not end the media leg: %s", error_text(exc))

    # -- the person of a warm transfer ---------------------------------------------------------------------

    async def _call_person(self, request: TransferRequest) -> None:
        params, state = self._params, self._state
        state.ringing_person, self._news = "?", None
        person = CallPerson(
            workflow_id=params.workflow_id,
            transfer=self._transfers,
            to=request.to,
            summary=request.summary,
            timeout_s=request.timeout_s,
            max_duration_seconds=params.max_duration_seconds,
            principal=params.principal,
        )
        try:
            dialed: Dialed = await workflow.execute_activity(
                "call_person", person, result_type=Dialed, **CALL_PERSON
            )
        except ActivityError as exc:
            state.ringing_person = ""
            raise ApplicationError(f"Twilio: {error_text(exc)}", type=ERRORS.not_live) from exc
        state.ringing_person = dialed.call_sid
        if state.over:
            await self._hang_up_person()
            return
        self._person = asyncio.create_task(self._await_person(self._transfers, request.timeout_s))

    async def _await_person(self, transfer: int, timeout_s: int) -> None:
        """Until the person takes the call, or does not; meanwhile the caller talks on with the agent."""
        state = self._state
        try:
            await workflow.wait_condition(
                lambda: state.over or self._decided, timeout=timeout_s + WHISPER_S, timeout_summary="person"
            )
        except TimeoutError:
            workflow.logger.warning("no word of the person that was called")
        news = self._news
        if not state.over and news is not None and news.news == "accepted":
            try:
                await self._join(transfer)
            except ApplicationError as exc:
                workflow.logger.warning("could not join the caller: %s", exc)
                news = TransferLeg(transfer, "over", status="failed")
            else:
                return
        if news is None or news.news != "over" or state.over:
            await self._hang_up_person()
        state.ringing_person = ""
        await self._tell_not_taken(news.status if news is not None else "no-answer")

    @property
    def _decided(self) -> bool:
        return self._news is not None and self._news.news in ("accepted", "over")

    async def _join(self, transfer: int) -> None:
        """Send the caller to the conference where the person waits; whoever leaves it ends it."""
        self._state.handed_over()
        await self._do(self._steer(room=f"{self._params.workflow_id}-{transfer}", transfer=transfer))
        self._state.ringing_person = ""

    async def _hang_up_person(self) -> None:
        try:
            await workflow.execute_activity("hang_up", HangUp(self._state.ringing_person), **HANG_UP)
        except ActivityError as exc:
            workflow.logger.error("could not hang up the person: %s", error_text(exc))

    async def _tell_not_taken(self, status: str) -> None:
        """The caller is the agent's again, who should know why."""
        if not self._state.live:
            return
        why = _NOT_TAKEN.get(status, "the person could not be reached")
        text = f"the transfer came to nothing: {why}. The caller is still with you. Tell them, and go on."
        tell = TellAgent(self._params.workflow_id, self._state.node_id, text)
        try:
            await workflow.execute_activity("tell_agent", tell, **TELL_AGENT)
        except ActivityError as exc:
            workflow.logger.warning("the agent was not told: %s", error_text(exc))
