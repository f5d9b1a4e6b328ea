"""CallWorkflow: one telephone call from the request to its result.

Prepares the media session and dials side by side, then waits for signals and limits; what they mean is
decided in workflows.call_state. When the call is over it hangs up, ends the media leg, lets the event stream
drain, and writes the result. Only dialing and preparing can fail a call: bookkeeping is retried beside it.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from workflows.call_errors import error_text, error_type
    from workflows.call_line import CallLine
    from workflows.call_news import CallNews
    from workflows.call_state import PREPARED_FOR_S, CallState, Deadline, Limits
    from workflows.contracts import (
        CALL_WORKFLOW,
        ERRORS,
        AwaitStatus,
        CallParams,
        CallResult,
        CallStatus,
        CallView,
        Dial,
        Dialed,
        Direction,
        EndMedia,
        EndReason,
        FinishCall,
        Followed,
        FollowEvents,
        HangUp,
        LeaveVoicemail,
        MachineDetected,
        OnVoicemail,
        PreparedMedia,
        PrepareMedia,
        RecordStatus,
        SendDtmf,
        StreamEnded,
        StreamStarted,
        Terminate,
        TransferLeg,
        TransferRequest,
        TwilioStatus,
    )
    from workflows.policies import (
        DIAL,
        DRAIN_EVENTS,
        DRAIN_GRACE,
        END_MEDIA,
        FINISH_CALL,
        FIRST_RECORD_PAUSE,
        HANG_UP,
        LAST_RECORD_PAUSE,
        PREPARE_MEDIA,
        RECORD_STATUS,
        STREAM_END_GRACE,
        follow_options,
    )


@workflow.defn(name=CALL_WORKFLOW)
class CallWorkflow:
    @workflow.init
    def __init__(self, params: CallParams) -> None:
        self._params = params
        inbound = params.direction == Direction.INBOUND
        self._state = CallState(
            max_duration_s=params.max_duration_seconds,
            # Twilio tells the end of an inbound call only if its number is set up so.
            limits=Limits(final_callback_s=1.5) if inbound else None,
            on_voicemail=params.on_voicemail,
        )
        self._line = CallLine(params, self._state)
        self._news = CallNews(params, self._state)

    @workflow.run
    async def run(self, params: CallParams) -> CallResult:
        following = workflow.start_activity(
            "follow_events",
            FollowEvents(params.workflow_id),
            result_type=Followed,
            **follow_options(params.max_duration_seconds),
        )
        recording = asyncio.create_task(self._record_changes())
        preparing = asyncio.create_task(self._prepare())
        dialing = asyncio.create_task(self._dial())
        telling = asyncio.create_task(self._news.while_it_lives())
        try:
            await self._until_over()
        except asyncio.CancelledError:
            if workflow.cancellation_reason() is None:
                raise  # evicted from this worker's cache: the call goes on, here or elsewhere
            # Cancelled in Temporal's UI or CLI: the person on the line must still be let go.
            self._state.terminate(workflow.time())
        await asyncio.gather(self._close_leg(dialing), self._close_media(preparing), self._line.close())
        followed = await self._drain(following)
        result = await self._finish(recording, followed)
        await telling
        await self._news.result_written()
        await workflow.wait_condition(workflow.all_handlers_finished)
        return result

    # -- signals, query, update ----------------------------------------------------------------------------

    @workflow.signal
    def twilio_status(self, status: TwilioStatus) -> None:
        self._state.twilio_status(status, workflow.time())

    @workflow.signal
    def stream_started(self, started: StreamStarted) -> None:
        self._state.stream_started(started, workflow.time())

    @workflow.signal
    def stream_ended(self, ended: StreamEnded) -> None:
        self._state.stream_ended(ended, workflow.time())

    @workflow.signal
    def terminate(self, request: Terminate) -> None:
        workflow.logger.info("terminate asked for: %s", request.reason or "no reason given")
        self._state.terminate(workflow.time())

    @workflow.signal
    async def machine_detected(self, told: MachineDetected) -> None:
        workflow.logger.info("answered by: %s", told.answered_by)
        if self._state.machine_detected(told, workflow.time()) is not OnVoicemail.LEAVE_MESSAGE:
            return
        try:
            await self._line.leave_message(self._params.voicemail_message)
        except ApplicationError as exc:
            workflow.logger.error("no message left: %s", exc)
            self._state.terminate(workflow.time())

    @workflow.signal
    async def transfer_leg(self, told: TransferLeg) -> None:
        await self._line.leg(told)

    @workflow.query
    def status(self) -> CallView:
        state = self._state
        return CallView(
            workflow_id=self._params.workflow_id,
            status=state.status,
            end_reason=state.end_reason or "",
            error=state.error,
            call_sid=state.call_sid,
            stream_sid=state.stream_sid,
            node_id=state.node_id,
        )

    @workflow.update
    async def await_status(self, request: AwaitStatus) -> CallView:
        await workflow.wait_condition(lambda: self._state.over or self._state.status != request.not_status)
        return self.status()

    @await_status.validator
    def _await_status_validator(self, request: AwaitStatus) -> None:
        if request.not_status not in {status.value for status in CallStatus}:
            raise ValueError(f"not_status: {request.not_status!r} is no call status")

    @workflow.update
    async def send_dtmf(self, request: SendDtmf) -> CallView:
        await self._line.press(request.digits)
        return self.status()

    @send_dtmf.validator
    def _send_dtmf_validator(self, request: SendDtmf) -> None:
        self._line.check_free()

    @workflow.update
    async def leave_voicemail(self, request: LeaveVoicemail) -> CallView:
        await self._line.leave_message(request.message)
        return self.status()

    @leave_voicemail.validator
    def _leave_voicemail_validator(self, request: LeaveVoicemail) -> None:
        self._line.check_free()

    @workflow.update
    async def transfer(self, request: TransferRequest) -> CallView:
        await self._line.transfer(request)
        return self.status()

    @transfer.validator
    def _transfer_validator(self, request: TransferRequest) -> None:
        self._line.check_free()
        if request.mode not in ("cold", "warm"):
            raise ValueError(f"mode: {request.mode!r} is neither cold nor warm")

    # -- the call ------------------------------------------------------------------------------------------

    async def _prepare(self) -> None:
        params = self._params
        try:
            media: PreparedMedia = await workflow.execute_activity(
                "prepare_media",
                PrepareMedia(
                    workflow_id=params.workflow_id,
                    stream_token=params.stream_token,
                    system_prompt=params.system_prompt,
                    greeting=params.greeting,
                    greeting_mode=params.greeting_mode,
                    model=params.model,
                    voice=params.voice,
                    expires_in_s=PREPARED_FOR_S,
                    tools=params.tools,
                    agent=params.agent,
                ),
                result_type=PreparedMedia,
                **PREPARE_MEDIA,
            )
        except ActivityError as exc:
            refused = error_type(exc) == ERRORS.model_refused
            reason = EndReason.MODEL_FAILED if refused else EndReason.MEDIA_FAILED
            self._state.prepare_failed(reason, error_text(exc), workflow.time())
            return
        self._line.media = media
        self._state.prepared(media.node_id)

    async def _dial(self) -> None:
        params = self._params
        if params.direction == Direction.INBOUND:
            self._state.arrived(params.call_sid, workflow.time())
            return
        try:
            dialed: Dialed = await workflow.execute_activity(
                "dial",
                Dial(
                    workflow_id=params.workflow_id,
                    phone_number=params.phone_number,
                    max_duration_seconds=params.max_duration_seconds,
                    started_at=workflow.info().start_time.isoformat(),
                    principal=params.principal,
                    detect_machine=bool(params.on_voicemail),
                ),
                result_type=Dialed,
                **DIAL,
            )
        except ActivityError as exc:
            self._state.dial_failed(error_text(exc), workflow.time())
            return
        self._state.dialed(dialed.call_sid, workflow.time())

    async def _until_over(self) -> None:
        state = self._state
        while not state.over:
            deadline = state.deadline
            changed = partial(_moved_on, state, deadline)
            if deadline is None:
                await workflow.wait_condition(changed)
                continue
            left = max(deadline.at - workflow.time(), 0.001)
            try:
                await workflow.wait_condition(changed, timeout=left, timeout_summary=deadline.limit.value)
            except TimeoutError:
                state.expired(deadline.limit, workflow.time())

    # -- its end -------------------------------------------------------------------------------------------

    async def _close_leg(self, dialing: asyncio.Task[None]) -> None:
        """Hang up whatever was dialed, unless Twilio said that it is over."""
        await _settle(dialing)
        state = self._state
        sids = ([state.call_sid] if state.leg_may_be_up else []) + state.strays
        for sid in sids:
            try:
                await workflow.execute_activity("hang_up", HangUp(sid), **HANG_UP)
            except ActivityError as exc:
                # Twilio's TimeLimit is the second net; the result must be written all the same.
                workflow.logger.error("could not hang up %s: %s", sid, error_text(exc))

    async def _close_media(self, preparing: asyncio.Task[None]) -> None:
        """End the media leg, unless its node said that it is over."""
        await _settle(preparing)
        if self._line.media is None:
            return
        state = self._state
        if state.stream_sid and state.leg_over:
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: state.stream_over, timeout=STREAM_END_GRACE, timeout_summary="stream end"
                )
        if state.stream_over:
            return
        end = EndMedia(self._params.workflow_id, self._line.media.grpc_address, state.end_reason or "")
        try:
            await workflow.execute_activity("end_media", end, **END_MEDIA)
        except ActivityError as exc:
            workflow.logger.warning("could not end the media leg: %s", error_text(exc))

    async def _drain(self, following: workflow.ActivityHandle[Followed]) -> Followed:
        """Let the follower reach the stream's end; failing that, read once more all that the stream holds."""
        nothing = Followed(last_entry="", segments=0)
        if self._line.media is None:
            following.cancel()
            return nothing
        await workflow.wait([following], timeout=DRAIN_GRACE.total_seconds())
        try:
            if following.done():
                return following.result()
            following.cancel()
        except ActivityError as exc:
            workflow.logger.warning("follow_events failed: %s", error_text(exc))
        again = FollowEvents(self._params.workflow_id, drain=True)
        try:
            followed: Followed = await workflow.execute_activity(
                "follow_events", again, result_type=Followed, **DRAIN_EVENTS
            )
        except ActivityError as exc:
            workflow.logger.error("the transcript may be incomplete: %s", error_text(exc))
            return nothing
        return followed

    async def _finish(self, recording: asyncio.Task[None], followed: Followed) -> CallResult:
        await recording
        state = self._state
        assert state.end_reason is not None, "a call is finished only when it is over"
        duration_s = round(state.duration_s, 3)
        finish = FinishCall(
            params=self._params,
            run_id=workflow.info().run_id,
            status=state.status,
            end_reason=state.end_reason,
            error=state.error,
            call_sid=state.call_sid,
            answered_at=_iso(state.answered_at),
            ended_at=_iso(state.ended_at),
            duration_seconds=duration_s,
            stream_sid=state.stream_sid,
        )
        await workflow.execute_activity("finish_call", finish, **FINISH_CALL)
        return CallResult(
            workflow_id=self._params.workflow_id,
            status=state.status,
            end_reason=state.end_reason,
            error=state.error,
            call_sid=state.call_sid,
            duration_seconds=duration_s,
            segments=followed.segments,
        )

    # -- bookkeeping beside the call -----------------------------------------------------------------------

    async def _record_changes(self) -> None:
        """Keep what readers see up to date while the call lives; finish_call writes how it ended.

        One write at a time, always of the newest state, so that an older one can't arrive after it. A write
        that fails is made again, here and not by Temporal, which would repeat the old state.
        """
        pause = FIRST_RECORD_PAUSE
        while not self._state.over:
            snapshot = self._snapshot()
            changed = partial(self._outdated, snapshot)
            try:
                await workflow.execute_activity("record_status", snapshot, **RECORD_STATUS)
            except ActivityError as exc:
                workflow.logger.warning("record_status failed: %s", error_text(exc))
                with suppress(TimeoutError):
                    await workflow.wait_condition(changed, timeout=pause, timeout_summary="record again")
                pause = min(2 * pause, LAST_RECORD_PAUSE)
            else:
                pause = FIRST_RECORD_PAUSE
                await workflow.wait_condition(changed)

    def _snapshot(self) -> RecordStatus:
        return RecordStatus(
            params=self._params,
            run_id=workflow.info().run_id,
            status=self._state.status,
            call_sid=self._state.call_sid,
            stream_sid=self._state.stream_sid,
            stream_url=self._line.media.stream_url if self._line.media is not None else "",
            answered_at=_iso(self._state.answered_at),
            node_id=self._state.node_id,
        )

    def _outdated(self, snapshot: RecordStatus) -> bool:
        return self._state.over or self._snapshot() != snapshot


def _moved_on(state: CallState, deadline: Deadline | None) -> bool:
    return state.over or state.deadline != deadline


async def _settle(task: asyncio.Task[None]) -> None:
    """Stop an activity's retries; an attempt that runs is awaited, for what it may have brought about."""
    if not task.done():
        task.cancel()
    await workflow.wait([task])


def _iso(at: float | None) -> str:
    return "" if at is None else datetime.fromtimestamp(at, UTC).isoformat()
