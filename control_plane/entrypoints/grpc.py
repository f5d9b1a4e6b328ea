"""CallService (protos/voiceplane/calls/v1): translates gRPC to handlers and back, nothing else.

Errors are raised as they are: entrypoints.grpc_guard answers with them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc

from control_plane.domain import requests as rules
from control_plane.domain.calls import phone_number, reason
from control_plane.domain.events import sequence_of
from control_plane.entrypoints import grpc_requests as read
from control_plane.entrypoints.grpc_messages import call_of_row, ended, line, status_of, turn
from control_plane.errors import InvalidCall, InvalidField
from control_plane.service.use_cases import UseCases
from control_plane.service.watching import Item
from protos.voiceplane.calls.v1 import calls_pb2 as pb
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceServicer
from workflows.contracts import TransferRequest

Context = grpc.aio.ServicerContext[Any, Any]


class CallService(CallServiceServicer):
    """The handlers REST uses too."""

    def __init__(self, use: UseCases) -> None:
        self._use = use

    async def CreateCall(  # noqa: N802
        self, request: pb.CreateCallRequest, context: Context
    ) -> pb.CreateCallResponse:
        call, key = read.new_call(request)
        try:
            created = await self._use.calls.create(call, key)
        except InvalidCall as error:
            raise (read.named(error) if request.agent_name else error) from error
        return pb.CreateCallResponse(
            workflow_id=created.workflow_id,
            run_id=created.run_id,
            phone_number=created.phone_number,
            status=status_of(created.status),
        )

    async def GetCall(self, request: pb.GetCallRequest, context: Context) -> pb.Call:  # noqa: N802
        call = await self._use.views.call(request.workflow_id)
        return pb.Call(
            workflow_id=call.workflow_id,
            status=status_of(call.status),
            transcript_count=call.transcript_count,
            phone_number=call.phone_number,
            greeting=call.greeting,
        )

    async def ListCalls(  # noqa: N802
        self, request: pb.ListCallsRequest, context: Context
    ) -> pb.ListCallsResponse:
        filters = read.filters(request)
        page = await self._use.lists.page(filters, size=request.page_size, token=request.page_token)
        return pb.ListCallsResponse(
            calls=[call_of_row(row) for row in page.calls], next_page_token=page.next_token
        )

    async def TerminateCall(  # noqa: N802
        self, request: pb.TerminateCallRequest, context: Context
    ) -> pb.TerminateCallResponse:
        with read.Fields() as fields:
            why = fields.check("reason", reason, request.reason)
        terminated = await self._use.calls.terminate(request.workflow_id, why)
        return pb.TerminateCallResponse(status=status_of(terminated.status))

    async def GetCallResult(  # noqa: N802
        self, request: pb.GetCallResultRequest, context: Context
    ) -> pb.CallResult:
        outcome = await self._use.views.result(request.workflow_id)
        return pb.CallResult(
            workflow_id=outcome.row.workflow_id,
            status=status_of(outcome.status),
            end_reason=outcome.row.end_reason,
            duration_seconds=outcome.row.duration_seconds,
            transcript=[line(segment) for segment in outcome.transcript],
            media=outcome.media,
            turns=[turn(each) for each in outcome.turns],
        )

    async def WatchCall(  # noqa: N802
        self, request: pb.WatchCallRequest, context: Context
    ) -> AsyncIterator[pb.WatchCallResponse]:
        after = request.after_sequence
        if request.after_entry:
            if after:
                raise InvalidField({"after_entry": "must be empty when after_sequence is set"})
            with read.Fields() as fields:
                after = fields.check("after_entry", sequence_of, request.after_entry)
        async with aclosing(self._use.watching.follow(request.workflow_id, after)) as items:
            async for item in items:
                if item is not None:
                    yield _watched(item)

    async def SendText(self, request: pb.SendTextRequest, context: Context) -> pb.SendTextResponse:  # noqa: N802
        with read.Fields() as fields:
            text = fields.check("text", rules.text, request.text)
            mode = fields.check("mode", read.known_in(pb.TextMode), request.mode)
        instruct = mode == pb.TEXT_MODE_INSTRUCT
        await self._use.line.send_text(request.workflow_id, text, instruct=instruct)
        return pb.SendTextResponse()

    async def SendDtmf(self, request: pb.SendDtmfRequest, context: Context) -> pb.SendDtmfResponse:  # noqa: N802
        with read.Fields() as fields:
            digits = fields.check("digits", rules.digits, request.digits)
        status = await self._use.line.send_dtmf(request.workflow_id, digits)
        return pb.SendDtmfResponse(status=status_of(status))

    async def TransferCall(  # noqa: N802
        self, request: pb.TransferCallRequest, context: Context
    ) -> pb.TransferCallResponse:
        with read.Fields() as fields:
            to = fields.check("to", phone_number, request.to)
            mode = fields.check("mode", read.known_in(pb.TransferMode), request.mode)
            warm = mode == pb.TRANSFER_MODE_WARM
            summary = fields.check("summary", rules.summary_for(warm=warm), request.summary)
            ring = fields.check(
                "timeout_seconds",
                rules.ring_seconds,
                request.timeout_seconds or rules.DEFAULT_RING_SECONDS,
            )
        transfer = TransferRequest(to, "warm" if warm else "cold", summary, ring)
        status = await self._use.line.transfer(request.workflow_id, transfer)
        return pb.TransferCallResponse(status=status_of(status))


def _watched(item: Item) -> pb.WatchCallResponse:
    if item.event is not None:
        return pb.WatchCallResponse(sequence=item.sequence, entry=item.entry, event=item.event)
    if item.status is not None:
        return pb.WatchCallResponse(sequence=item.sequence, status=status_of(item.status))
    assert item.ended is not None, "an item is an event, a status or the end"
    return pb.WatchCallResponse(sequence=item.sequence, ended=ended(item.ended))
