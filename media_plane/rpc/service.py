"""gRPC MediaPlane: translates between protobuf and the node, nothing else."""

from __future__ import annotations

import asyncio
import resource
import secrets
from time import monotonic_ns
from typing import Any, NoReturn

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from media_plane.call.lifecycle import State
from media_plane.call.tools import Outcome
from media_plane.errors import CallRefused, InvalidRequest, ModelFailure
from media_plane.io.gemini_sdk import GeminiSdk
from media_plane.metrics import resident_bytes
from media_plane.node import Node
from media_plane.rpc import convert, validate_tools
from media_plane.rpc.validate import prepare_request
from media_plane.settings import Settings
from media_plane.wire.gemini_texts import TextRefused
from protos.tls import Identity, server_credentials
from protos.voiceplane.media.v1 import media_pb2 as pb
from protos.voiceplane.media.v1 import media_pb2_grpc

_MAX_TEXT_BYTES = 4096
_NAME = pb.DESCRIPTOR.services_by_name["MediaPlane"].full_name
_WITHIN_MS = (1_000, 600_000)
_SENTENCE_NS = 3_000_000_000  # for the agent to finish what it is saying
_LOOK_S = 0.05
_TOKEN_BYTES = 24
_Context = grpc.aio.ServicerContext[Any, Any]

_STATES = {
    State.PREPARING: pb.CALL_STATE_PREPARING,
    State.WAITING: pb.CALL_STATE_PREPARING,
    State.READY: pb.CALL_STATE_READY,
    State.LIVE: pb.CALL_STATE_LIVE,
    State.ENDED: pb.CALL_STATE_ENDED,
}
_OUTCOMES = {
    Outcome.TAKEN: pb.ANSWER_OUTCOME_TAKEN,
    Outcome.LATE: pb.ANSWER_OUTCOME_LATE,
}
_REFUSALS = {
    CallRefused.FULL: grpc.StatusCode.RESOURCE_EXHAUSTED,
    CallRefused.DRAINING: grpc.StatusCode.UNAVAILABLE,
    CallRefused.CONFLICT: grpc.StatusCode.ALREADY_EXISTS,
}


class MediaPlaneService(media_pb2_grpc.MediaPlaneServicer):
    def __init__(self, node: Node, sdk: GeminiSdk, settings: Settings, ws_url: str) -> None:
        self._node = node
        self._sdk = sdk
        self._settings = settings
        self._ws_url = ws_url

    async def PrepareCall(  # noqa: N802
        self, request: pb.PrepareCallRequest, context: _Context
    ) -> pb.PrepareCallResponse:
        await self._sdk.loaded()
        try:
            call = prepare_request(request, self._settings)
            connect_ms, setup_ms = await self._node.prepare(call)
        except InvalidRequest as error:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except CallRefused as refused:
            await _abort(context, _REFUSALS[refused.kind], refused.reason)
        except ModelFailure as failure:
            code = grpc.StatusCode.UNAVAILABLE if failure.retryable else grpc.StatusCode.FAILED_PRECONDITION
            await _abort(context, code, f"the model: {failure}")
        return pb.PrepareCallResponse(
            node_id=self._node.id,
            stream_url=f"{self._ws_url}/twilio/ws/media/{call.workflow_id}/{call.stream_token}",
            connect_ms=connect_ms,
            setup_ms=setup_ms,
        )

    async def EndCall(  # noqa: N802
        self, request: pb.EndCallRequest, context: _Context
    ) -> pb.EndCallResponse:
        summary = self._node.end(request.workflow_id, request.reason)
        if summary is None:
            return pb.EndCallResponse(ended=False)
        return pb.EndCallResponse(ended=True, summary=convert.summary(summary))

    async def GetCall(  # noqa: N802
        self, request: pb.GetCallRequest, context: _Context
    ) -> pb.GetCallResponse:
        found = self._node.find(request.workflow_id)
        if found is not None:
            session = found[0]
            live_ms = (monotonic_ns() - session.start_ns) // 1_000_000 if session.start_ns else 0
            return pb.GetCallResponse(
                state=_STATES[session.state], stream_sid=session.stream_sid, live_ms=live_ms
            )
        over = self._node.over(request.workflow_id)
        if over is None:
            await _abort(context, grpc.StatusCode.NOT_FOUND, "no such call on this node")
        return pb.GetCallResponse(
            state=pb.CALL_STATE_ENDED,
            stream_sid=over.stream_sid,
            live_ms=over.live_ms,
            summary=convert.summary(over.summary) if over.summary is not None else None,
        )

    async def AnswerTool(  # noqa: N802
        self, request: pb.AnswerToolRequest, context: _Context
    ) -> pb.AnswerToolResponse:
        try:
            response = validate_tools.response(request.response_json)
        except InvalidRequest as error:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        found = self._node.find(request.workflow_id)
        if found is None:
            await _abort(context, grpc.StatusCode.NOT_FOUND, "no such call on this node")
        outcome = found[0].answer_tool(request.tool_call_id, response, monotonic_ns())
        return pb.AnswerToolResponse(outcome=_OUTCOMES[outcome])

    async def SendText(self, request: pb.SendTextRequest, context: _Context) -> pb.SendTextResponse:  # noqa: N802
        if not request.text.strip() or len(request.text.encode()) > _MAX_TEXT_BYTES:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"text must be 1-{_MAX_TEXT_BYTES} bytes")
        found = self._node.find(request.workflow_id)
        if found is None:
            await _abort(context, grpc.StatusCode.NOT_FOUND, "no such call on this node")
        try:
            found[0].send_text(request.text, instruct=request.instruct)
        except TextRefused as error:
            await _abort(context, grpc.StatusCode.FAILED_PRECONDITION, str(error))
        return pb.SendTextResponse()

    async def ExpectStream(  # noqa: N802
        self, request: pb.ExpectStreamRequest, context: _Context
    ) -> pb.ExpectStreamResponse:
        if not _WITHIN_MS[0] <= request.within_ms <= _WITHIN_MS[1]:
            message = f"within_ms must be from {_WITHIN_MS[0]} to {_WITHIN_MS[1]}"
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, message)
        found = self._node.find(request.workflow_id)
        if found is None:
            await _abort(context, grpc.StatusCode.NOT_FOUND, "no such call on this node")
        session = found[0]
        quiet_by_ns = monotonic_ns() + _SENTENCE_NS
        # What has been played is known by the clock alone.
        while session.state is State.LIVE and session.speaks and monotonic_ns() < quiet_by_ns:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        if session.state is not State.LIVE:
            await _abort(context, grpc.StatusCode.FAILED_PRECONDITION, "the call is not live")
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        session.line.expect(token, monotonic_ns() + request.within_ms * 1_000_000)
        return pb.ExpectStreamResponse(
            stream_url=f"{self._ws_url}/twilio/ws/media/{request.workflow_id}/{token}"
        )

    async def GetStats(self, request: pb.GetStatsRequest, context: _Context) -> pb.GetStatsResponse:  # noqa: N802
        node = self._node
        live = node.calls_live
        usage = resource.getrusage(resource.RUSAGE_SELF)
        tally = node.tally()
        return pb.GetStatsResponse(
            node_id=node.id,
            calls_prepared=len(node.sessions) - live,
            calls_live=live,
            capacity=node.capacity,
            draining=node.draining,
            calls_total=node.counters.calls,
            uplink=convert.latency(tally.up_latency.latency()),
            downlink=convert.latency(tally.down_latency.latency()),
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            rss_bytes=resident_bytes(),
        )


class GrpcServer:
    """The gRPC server with health and reflection. `start` returns the port bound."""

    def __init__(self, service: MediaPlaneService) -> None:
        self._service = service
        self._health = health.aio.HealthServicer()
        # By default two nodes told the same port would both get it, and each half of the other's calls.
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])

    async def start(self, host: str, port: int, tls: Identity | None = None) -> int:
        """Raises: TlsFault, RuntimeError (the port can't be had)."""
        credentials = server_credentials(tls) if tls is not None else None
        media_pb2_grpc.add_MediaPlaneServicer_to_server(self._service, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )
        address = f"{host}:{port}"
        if credentials is None:
            bound = self._server.add_insecure_port(address)
        else:
            bound = self._server.add_secure_port(address, credentials)
        for name in (_NAME, ""):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()
        return bound

    async def drain(self) -> None:
        """Health says NOT_SERVING; calls are still answered."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_s: float) -> None:
        await self._server.stop(grace_s)


async def _abort(context: _Context, code: grpc.StatusCode, details: str) -> NoReturn:
    await context.abort(code, details)
    raise AssertionError("abort raises")
