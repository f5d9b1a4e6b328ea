"""A media node as the control plane sees it: a real gRPC server, a heartbeat in Redis, an event stream.

It carries no audio. `speak` and friends write the events that a call with those words would leave.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc
from redis.asyncio import Redis

from protos.voiceplane.events.v1 import events_pb2
from protos.voiceplane.events.v1.events_pb2 import CallEvent
from protos.voiceplane.media.v1 import media_pb2, media_pb2_grpc

Refusal = tuple[grpc.StatusCode, str]


@dataclass
class MediaNodeServer(media_pb2_grpc.MediaPlaneServicer):
    redis: Redis
    node_id: str
    address: str = ""
    prepared: dict[str, media_pb2.PrepareCallRequest] = field(default_factory=dict)
    ended: dict[str, str] = field(default_factory=dict)  # workflow id to EndCall's reason
    refusals: list[Refusal] = field(default_factory=list)  # what the next PrepareCalls answer
    answers: list[media_pb2.AnswerToolRequest] = field(default_factory=list)
    away: int = 0  # so many AnswerTools answer UNAVAILABLE first
    silent_end: bool = False  # EndCall leaves no StreamEnded, as a node that dies
    _seq: dict[str, int] = field(default_factory=dict)
    _over: set[str] = field(default_factory=set)

    async def PrepareCall(  # noqa: N802
        self, request: media_pb2.PrepareCallRequest, context: grpc.aio.ServicerContext
    ) -> media_pb2.PrepareCallResponse:
        if self.refusals:
            await context.abort(*self.refusals.pop(0))
        if request.workflow_id not in self.prepared:
            self.prepared[request.workflow_id] = request
            await self.event(request.workflow_id, session_ready=events_pb2.SessionReady(setup_ms=5))
        path = f"{request.workflow_id}/{request.stream_token}"
        return media_pb2.PrepareCallResponse(
            node_id=self.node_id, stream_url=f"ws://127.0.0.1:1/twilio/ws/media/{path}", setup_ms=5
        )

    async def EndCall(  # noqa: N802
        self, request: media_pb2.EndCallRequest, context: grpc.aio.ServicerContext
    ) -> media_pb2.EndCallResponse:
        known = request.workflow_id in self.prepared and request.workflow_id not in self._over
        self.ended[request.workflow_id] = request.reason
        if known and not self.silent_end:
            await self.end_stream(request.workflow_id, events_pb2.STREAM_END_REASON_REQUESTED)
        return media_pb2.EndCallResponse(ended=known)

    async def AnswerTool(  # noqa: N802
        self, request: media_pb2.AnswerToolRequest, context: grpc.aio.ServicerContext
    ) -> media_pb2.AnswerToolResponse:
        if self.away:
            self.away -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "away")
        if request.workflow_id in self._over:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such call")
        known = any(
            (each.workflow_id, each.tool_call_id) == (request.workflow_id, request.tool_call_id)
            for each in self.answers
        )
        self.answers.append(request)
        outcome = media_pb2.ANSWER_OUTCOME_LATE if known else media_pb2.ANSWER_OUTCOME_TAKEN
        return media_pb2.AnswerToolResponse(outcome=outcome)

    async def register(self, *, calls: int = 0, capacity: int = 10, draining: bool = False) -> None:
        node = {
            "id": self.node_id,
            "grpc_address": self.address,
            "ws_url": "ws://127.0.0.1:1",
            "capacity": capacity,
            "calls": calls,
            "draining": draining,
        }
        await self.redis.sadd("nodes", self.node_id)
        await self.redis.set(f"node:{self.node_id}", json.dumps(node), ex=600)

    async def unregister(self) -> None:
        await self.redis.delete(f"node:{self.node_id}")
        await self.redis.srem("nodes", self.node_id)

    async def event(self, workflow_id: str, **body: object) -> None:
        seq = self._seq[workflow_id] = self._seq.get(workflow_id, 0) + 1
        event = CallEvent(
            workflow_id=workflow_id,
            source=self.node_id,
            seq=seq,
            at_unix_ms=time.time_ns() // 1_000_000,
            **body,  # type: ignore[arg-type]
        )
        await self.redis.xadd(f"events:{workflow_id}", {"e": event.SerializeToString()})
        if event.WhichOneof("body") in ("tool_called", "tool_cancelled"):
            await self.redis.xadd("tools", {"e": event.SerializeToString()})

    async def start_stream(self, workflow_id: str, call_sid: str) -> None:
        started = events_pb2.StreamStarted(stream_sid=f"MZ{workflow_id[-32:]}", call_sid=call_sid)
        await self.event(workflow_id, stream_started=started)

    async def speak(self, workflow_id: str, segment_id: int, text: str, *, agent: bool = False) -> None:
        speaker = events_pb2.SPEAKER_AGENT if agent else events_pb2.SPEAKER_CALLER
        delta = events_pb2.TranscriptDelta(segment_id=segment_id, speaker=speaker, text=text)
        await self.event(workflow_id, transcript_delta=delta)
        segment = events_pb2.TranscriptSegment(
            segment_id=segment_id,
            speaker=speaker,
            text=text,
            start_ms=segment_id * 1000,
            end_ms=segment_id * 1000 + 500,
        )
        await self.event(workflow_id, transcript_segment=segment)

    async def turn(self, workflow_id: str, number: int, response_ms: int) -> None:
        turn = events_pb2.TurnCompleted(
            turn=number,
            caller_stopped_ms=1000,
            first_audio_ms=1000 + response_ms,
            response_ms=response_ms,
            audio_ms=700,
        )
        await self.event(workflow_id, turn_completed=turn)

    async def end_stream(
        self,
        workflow_id: str,
        reason: events_pb2.StreamEndReason.ValueType = events_pb2.STREAM_END_REASON_STOP,
        detail: str = "",
    ) -> None:
        self._over.add(workflow_id)
        summary = events_pb2.MediaSummary(first_audio_ms=120, setup_ms=5, prewarmed=True)
        ended = events_pb2.StreamEnded(reason=reason, detail=detail, summary=summary)
        await self.event(workflow_id, stream_ended=ended)


@asynccontextmanager
async def running_media_node(
    redis: Redis, node_id: str, *, registered: bool = True, port: int = 0
) -> AsyncIterator[MediaNodeServer]:
    node = MediaNodeServer(redis, node_id)
    server = grpc.aio.server()
    media_pb2_grpc.add_MediaPlaneServicer_to_server(node, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    node.address = f"127.0.0.1:{bound}"
    await server.start()
    if registered:
        await node.register()
    try:
        yield node
    finally:
        await node.unregister()
        await server.stop(None)
