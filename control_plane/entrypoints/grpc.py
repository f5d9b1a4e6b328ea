"""CallService (protos/voiceplane/calls/v1): translates gRPC to handlers and back, nothing else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import grpc
from pydantic import ValidationError

from control_plane import metrics
from control_plane.domain import calls as rules
from control_plane.entrypoints.grpc_errors import InvalidRequest, abort, code_of
from control_plane.errors import ControlPlaneError
from control_plane.service.handlers import Calls
from control_plane.service.ports import EventLog, Segment, Turn
from control_plane.service.views import CallViews
from control_plane.tools.definitions import Definition, load
from protos.voiceplane.calls.v1 import calls_pb2 as pb
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceServicer
from protos.voiceplane.events.v1 import events_pb2 as events
from workflows.contracts import CallStatus

Context = grpc.aio.ServicerContext  # of any request and response
_Value = TypeVar("_Value")

_ENTRY = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
_SPEAKERS = {"caller": events.SPEAKER_CALLER, "agent": events.SPEAKER_AGENT}


class CallService(CallServiceServicer):
    """The handlers REST uses too."""

    def __init__(self, calls: Calls, views: CallViews, event_log: EventLog) -> None:
        self._calls = calls
        self._views = views
        self._events = event_log

    async def CreateCall(  # noqa: N802
        self, request: pb.CreateCallRequest, context: Context[Any, Any]
    ) -> pb.CreateCallResponse:
        async with _answering("CreateCall", context):
            created = await self._calls.create(_new_call(request))
        return pb.CreateCallResponse(
            workflow_id=created.workflow_id,
            run_id=created.run_id,
            phone_number=created.phone_number,
            status=_status(created.status),
        )

    async def GetCall(self, request: pb.GetCallRequest, context: Context[Any, Any]) -> pb.Call:  # noqa: N802
        async with _answering("GetCall", context):
            call = await self._views.call(request.workflow_id)
        return pb.Call(
            workflow_id=call.workflow_id,
            status=_status(call.status),
            transcript_count=call.transcript_count,
            phone_number=call.phone_number,
            greeting=call.greeting,
        )

    async def TerminateCall(  # noqa: N802
        self, request: pb.TerminateCallRequest, context: Context[Any, Any]
    ) -> pb.TerminateCallResponse:
        async with _answering("TerminateCall", context):
            violations: dict[str, str] = {}
            reason = _checked(violations, "reason", rules.reason, request.reason)
            if reason is None:
                raise InvalidRequest(violations)
            terminated = await self._calls.terminate(request.workflow_id, reason)
        return pb.TerminateCallResponse(status=_status(terminated.status))

    async def GetCallResult(  # noqa: N802
        self, request: pb.GetCallResultRequest, context: Context[Any, Any]
    ) -> pb.CallResult:
        async with _answering("GetCallResult", context):
            outcome = await self._views.result(request.workflow_id)
        return pb.CallResult(
            workflow_id=outcome.row.workflow_id,
            status=_status(outcome.status),
            end_reason=outcome.row.end_reason,
            duration_seconds=outcome.row.duration_seconds,
            transcript=[_line(segment) for segment in outcome.transcript],
            media=outcome.media,
            turns=[_turn(turn) for turn in outcome.turns],
        )

    async def WatchCall(  # noqa: N802
        self, request: pb.WatchCallRequest, context: Context[Any, Any]
    ) -> AsyncIterator[pb.WatchCallResponse]:
        async with _answering("WatchCall", context):
            if request.after_entry and not _ENTRY.fullmatch(request.after_entry):
                raise InvalidRequest({"after_entry": "must be an entry id of an earlier answer, or empty"})
            await self._views.status(request.workflow_id)  # raises CallNotFound
            with metrics.WATCHERS.track_inprogress():
                async for entry, event in self._events.follow(
                    request.workflow_id, request.after_entry or "0-0"
                ):
                    if event is not None:
                        yield pb.WatchCallResponse(entry=entry, event=event)
                    # A pause in the news: over, when nothing more can come. A media leg's end alone is no
                    # such sign, since another leg may take the call on.
                    elif (await self._views.status(request.workflow_id)).final:
                        return


@asynccontextmanager
async def _answering(method: str, context: Context[Any, Any]) -> AsyncIterator[None]:
    """Within this block our errors end the request with the status that fits; either way it is counted."""
    code = grpc.StatusCode.UNKNOWN  # what an error that is no ControlPlaneError (a bug) answers with
    try:
        yield
        code = grpc.StatusCode.OK
    except ControlPlaneError as error:
        code = code_of(error)
        await abort(context, error)
    finally:
        metrics.GRPC_REQUESTS.labels(method, code.name).inc()


def _new_call(request: pb.CreateCallRequest) -> rules.NewCall:
    """Raises InvalidRequest, naming every field that is wrong."""
    violations: dict[str, str] = {}
    phone_number = _checked(violations, "phone_number", rules.phone_number, request.phone_number)
    greeting = _checked(violations, "greeting", rules.greeting, request.greeting)
    mode = _checked(violations, "greeting_mode", rules.greeting_mode, request.greeting_mode)
    system_prompt = _checked(violations, "system_prompt", rules.system_prompt, request.system_prompt)
    seconds = _checked(
        violations,
        "max_duration_seconds",
        rules.max_duration_seconds,
        request.max_duration_seconds or rules.DEFAULT_DURATION_SECONDS,
    )
    tools: Sequence[Definition] = ()
    try:
        tools = load(request.tools_json) if request.tools_json else ()
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False):
            where = ".".join(("tools_json", *(str(step) for step in each["loc"])))
            violations.setdefault(where, each["msg"])
    if phone_number is None or greeting is None or mode is None or system_prompt is None or seconds is None:
        raise InvalidRequest(violations)
    if violations:
        raise InvalidRequest(violations)
    return rules.NewCall(
        phone_number, system_prompt, greeting, seconds, tools, agent=request.agent, greeting_mode=mode
    )


def _checked(
    violations: dict[str, str], field: str, rule: Callable[[_Value], _Value], value: _Value
) -> _Value | None:
    """The value as the rule returns it; None, and an entry in `violations`, when the rule refuses it."""
    try:
        return rule(value)
    except ValueError as error:
        violations[field] = str(error)
        return None


def _status(status: CallStatus) -> pb.CallStatus.ValueType:
    return pb.CallStatus.Value(f"CALL_STATUS_{status.name}")


def _line(segment: Segment) -> pb.TranscriptLine:
    return pb.TranscriptLine(
        speaker=_SPEAKERS.get(segment.speaker, events.SPEAKER_UNSPECIFIED),
        text=segment.text,
        start_ms=segment.start_ms,
        end_ms=segment.end_ms,
        interrupted=segment.interrupted,
        unheard_text=segment.unheard_text,
    )


def _turn(turn: Turn) -> events.TurnCompleted:
    return events.TurnCompleted(
        turn=turn.turn,
        caller_stopped_ms=turn.caller_stopped_ms,
        first_audio_ms=turn.first_audio_ms,
        response_ms=turn.response_ms,
        audio_ms=turn.audio_ms,
        interrupted=turn.interrupted,
    )
