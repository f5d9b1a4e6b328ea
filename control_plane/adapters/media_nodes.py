"""The registry of media nodes in Redis, and the gRPC slow lane to each. Implements `ports.MediaNodes`."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc
import structlog
from google.protobuf.json_format import ParseDict
from redis.asyncio import Redis

from control_plane.adapters.redis_client import reached
from control_plane.errors import (
    CallNotLive,
    ControlPlaneError,
    DependencyUnavailable,
    ModelRefused,
    NodeFull,
)
from control_plane.service.ports import MediaNode
from control_plane.tools.definitions import Declaration
from protos.tls import ClientTls
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings
from protos.voiceplane.media.v1 import media_pb2
from protos.voiceplane.media.v1.media_pb2_grpc import MediaPlaneStub
from workflows.contracts import PreparedMedia, PrepareMedia

if TYPE_CHECKING:
    from protos.voiceplane.media.v1.media_pb2_grpc import MediaPlaneAsyncStub

_log = structlog.get_logger(__name__)

# Opening the model's session takes well under a second; TLS across continents and a slow setup fit in 6.
PREPARE_TIMEOUT_S = 6.0
END_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 2.0
EXPECT_TIMEOUT_S = 4.5  # the node lets the agent finish its sentence, for 3 s
# Nodes come and go with their addresses; a hundred is more than a control plane has at once.
MAX_CHANNELS = 128

# No keepalive pings: every request ends by its deadline within seconds, a node that died leaves the registry
# as soon, and gRPC servers answer pings on an idle channel with GOAWAY.
_CHANNEL_OPTIONS = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),  # a restarted node is used again at once
]


class RegisteredMediaNodes:
    """Create and use it in one event loop (grpc.aio's rule); `close` at the end."""

    def __init__(self, redis: Redis, tls: ClientTls | None = None) -> None:
        self._redis = redis
        self._tls = tls
        self._tls_stamp = tls.stamp() if tls is not None else ()
        self._channels: OrderedDict[str, grpc.aio.Channel] = OrderedDict()

    async def live(self) -> Sequence[MediaNode]:
        """Every node with a heartbeat, by id; forgets those without one. Raises DependencyUnavailable."""
        async with reached():
            ids = sorted(_text(raw) for raw in await self._redis.smembers("nodes"))
            if not ids:
                return []
            values = await self._redis.mget([f"node:{node_id}" for node_id in ids])
            gone = [node_id for node_id, value in zip(ids, values, strict=True) if value is None]
            if gone:
                await self._redis.srem("nodes", *gone)
        nodes = []
        for node_id, value in zip(ids, values, strict=True):
            if value is None:
                continue
            try:
                nodes.append(_parse_node(value))
            except ValueError as exc:
                _log.warning("a media node's registration is unreadable", node=node_id, error=str(exc))
        return nodes

    async def prepare(
        self, node: MediaNode, request: PrepareMedia, tools: Sequence[Declaration] = ()
    ) -> PreparedMedia:
        """Have `node` open the model's session.

        Raises:
            NodeFull: another node may take the call.
            DependencyUnavailable: the node, or the model behind it, can't be reached.
            ModelRefused: the model refused the setup for good.
            ControlPlaneError: the node takes our request for nonsense.
        """
        message = media_pb2.PrepareCallRequest(
            workflow_id=request.workflow_id,
            stream_token=request.stream_token,
            agent=media_pb2.AgentConfig(
                system_prompt=request.system_prompt,
                greeting=request.greeting,
                greeting_mode=request.greeting_mode,
                model=request.model,
                voice=request.voice,
                settings=ParseDict(request.agent, AgentSettings()),
                tools=[_tool(each) for each in tools],
            ),
            expires_in_s=request.expires_in_s,
        )
        try:
            answer = await self._stub(node.grpc_address).PrepareCall(message, timeout=PREPARE_TIMEOUT_S)
        except grpc.aio.AioRpcError as exc:
            raise _prepare_error(node, exc) from exc
        return PreparedMedia(
            node_id=answer.node_id,
            grpc_address=node.grpc_address,
            stream_url=answer.stream_url,
            setup_ms=answer.setup_ms,
        )

    async def end(self, grpc_address: str, workflow_id: str, reason: str) -> bool:
        """End the media leg; False: the node didn't hold it (any more). Raises DependencyUnavailable."""
        message = media_pb2.EndCallRequest(workflow_id=workflow_id, reason=reason)
        try:
            answer = await self._stub(grpc_address).EndCall(message, timeout=END_TIMEOUT_S)
        except grpc.aio.AioRpcError as exc:
            raise DependencyUnavailable(f"media node at {grpc_address}", exc.details() or "") from exc
        return bool(answer.ended)

    async def expect_stream(self, grpc_address: str, workflow_id: str, within_s: float) -> str:
        """Have the node keep a live call's session; answers where the next stream must go.

        Raises: CallNotLive, DependencyUnavailable.
        """
        message = media_pb2.ExpectStreamRequest(workflow_id=workflow_id, within_ms=int(within_s * 1000))
        try:
            answer = await self._stub(grpc_address).ExpectStream(message, timeout=EXPECT_TIMEOUT_S)
        except grpc.aio.AioRpcError as exc:
            if exc.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION):
                raise CallNotLive(exc.details() or f"call {workflow_id} is not live") from exc
            raise DependencyUnavailable(f"media node at {grpc_address}", exc.details() or "") from exc
        return str(answer.stream_url)

    async def answer_tool(self, node_id: str, workflow_id: str, tool_call_id: str, response_json: str) -> str:
        """Hand a function's answer to the node that holds the call.

        Returns `taken`, `late` or `undeliverable`. Raises DependencyUnavailable: try again.
        """
        async with reached():
            value = await self._redis.get(f"node:{node_id}")
        if value is None:
            return "undeliverable"
        message = media_pb2.AnswerToolRequest(
            workflow_id=workflow_id, tool_call_id=tool_call_id, response_json=response_json
        )
        address = _parse_node(value).grpc_address
        try:
            answer = await self._stub(address).AnswerTool(message, timeout=ANSWER_TIMEOUT_S)
        except grpc.aio.AioRpcError as exc:
            if exc.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
                return "undeliverable"
            raise DependencyUnavailable(f"media node {node_id}", exc.details() or "") from exc
        return "taken" if answer.outcome == media_pb2.ANSWER_OUTCOME_TAKEN else "late"

    async def send_text(self, node_id: str, workflow_id: str, text: str, *, instruct: bool) -> None:
        """Raises CallNotLive, DependencyUnavailable."""
        async with reached():
            value = await self._redis.get(f"node:{node_id}")
        if value is None:
            raise CallNotLive(f"media node {node_id} is gone")
        message = media_pb2.SendTextRequest(workflow_id=workflow_id, text=text, instruct=instruct)
        try:
            await self._stub(_parse_node(value).grpc_address).SendText(message, timeout=ANSWER_TIMEOUT_S)
        except grpc.aio.AioRpcError as exc:
            if exc.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION):
                raise CallNotLive(exc.details() or f"call {workflow_id} is not live") from exc
            raise DependencyUnavailable(f"media node {node_id}", exc.details() or "") from exc

    async def close(self) -> None:
        while self._channels:
            _, channel = self._channels.popitem()
            await channel.close()

    def _stub(self, address: str) -> MediaPlaneAsyncStub:
        self._renew()
        channel = self._channels.get(address)
        if channel is None:
            if len(self._channels) >= MAX_CHANNELS:
                # Not closed here, which would break a call in flight on it; it goes with its last reference.
                self._channels.popitem(last=False)
            channel = self._channel(address)
            self._channels[address] = channel
        self._channels.move_to_end(address)
        return MediaPlaneStub(channel)

    def _channel(self, address: str) -> grpc.aio.Channel:
        if self._tls is None:
            return grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS)
        options = [*_CHANNEL_OPTIONS, *self._tls.options]
        return grpc.aio.secure_channel(address, self._tls.credentials(), options=options)

    def _renew(self) -> None:
        """Certificates have changed: connect to every node anew. Requests in flight keep their channel."""
        if self._tls is None:
            return
        stamp = self._tls.stamp()
        if stamp != self._tls_stamp:
            self._tls_stamp = stamp
            self._channels.clear()


def _prepare_error(node: MediaNode, exc: grpc.aio.AioRpcError) -> ControlPlaneError:
    details = exc.details() or ""
    match exc.code():
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return NodeFull(f"media node {node.id} is full")
        case grpc.StatusCode.FAILED_PRECONDITION:
            return ModelRefused(f"the model refused the session: {details}")
        case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.ALREADY_EXISTS:
            return ControlPlaneError(f"media node {node.id} refused the request: {details}")
        case code:
            return DependencyUnavailable(f"media node {node.id}", f"{code.name}: {details}")


def _tool(declaration: Declaration) -> media_pb2.Tool:
    return media_pb2.Tool(
        name=declaration.name,
        description=declaration.description,
        parameters_json=declaration.parameters_json,
        blocking=declaration.blocking,
        timeout_ms=declaration.timeout_ms,
        scheduling=declaration.scheduling,
        built_in=media_pb2.BUILT_IN_END_CALL if declaration.ends_call else media_pb2.BUILT_IN_UNSPECIFIED,
    )


def _parse_node(value: str | bytes) -> MediaNode:
    """Raises ValueError naming what is wrong."""
    data = json.loads(value)
    try:
        return MediaNode(
            id=str(data["id"]),
            grpc_address=str(data["grpc_address"]),
            ws_url=str(data["ws_url"]),
            capacity=int(data["capacity"]),
            calls=int(data["calls"]),
            draining=bool(data["draining"]),
        )
    except (KeyError, TypeError) as exc:
        raise ValueError(f"node: {exc!r}") from exc


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
