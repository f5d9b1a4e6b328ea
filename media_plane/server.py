"""The composition root: the only file that names the concrete classes and joins them into a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic_ns, time_ns
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from media_plane import logs
from media_plane.dsp.codec import Codecs, KernelCodecs
from media_plane.dsp.warmup import warm_up
from media_plane.errors import PortUnavailable
from media_plane.io import google_credentials
from media_plane.io.gemini_endpoint import GeminiEndpoint
from media_plane.io.gemini_pool import GeminiPool
from media_plane.io.gemini_sdk import GeminiSdk
from media_plane.io.listener import Detectors, Listener
from media_plane.io.reopening import RenewalPlan
from media_plane.io.spoken_lines import SpokenLines
from media_plane.io.twilio_ws import TwilioServer
from media_plane.loop.beat import Beat
from media_plane.loop.collection import Collection
from media_plane.loop.watchdog import Watchdog
from media_plane.metrics import LoopCollector, MetricsServer, NodeCollector
from media_plane.node import Node
from media_plane.pool_metrics import PoolCollector
from media_plane.renewal_metrics import RenewalCollector
from media_plane.rpc.handles import Handles
from media_plane.rpc.outbox import Outbox
from media_plane.rpc.registry import NodeEntry, Registry
from media_plane.rpc.service import GrpcServer, MediaPlaneService
from media_plane.settings import Resampler, Settings
from media_plane.spoken_metrics import SpokenLineCollector
from media_plane.stall_metrics import StallCollector
from media_plane.stall_plan import StallPlan
from media_plane.turn_metrics import TurnCollector
from protos.twilio_signing import Verifier

log = structlog.get_logger(__name__)

_SWITCH_S = 0.0001  # how long another thread (metrics, gRPC's poller) may keep the loop from the GIL
_TOKEN_S = 5.0  # for the first access token; without one the node serves, and its calls fail
_FLUSH_S = 3.0  # for the last events, once calls are over


class MediaServer:
    """One media node. `start`, then `run` until SIGTERM. `owns_process`: nothing else runs in this process,
    and garbage may be collected at the times that suit this node."""

    def __init__(self, settings: Settings, *, owns_process: bool = False) -> None:
        self._settings = settings
        self._owns_process = owns_process
        self._codecs = _codecs(settings)
        # One connection attempt a time and no silent retries: the outbox and the registry decide when to
        # retry.
        self._redis = Redis.from_url(
            settings.redis_dsn, socket_connect_timeout=2, socket_timeout=5, retry=Retry(NoBackoff(), 0)
        )
        self._outbox = Outbox(
            self._redis,
            source=settings.media_node_id,
            ttl_s=settings.redis_session_ttl,
            epoch_ns=time_ns() - monotonic_ns(),
        )
        self._credentials = (
            google_credentials.load(settings.gemini_vertex_credentials)
            if settings.gemini_vertex_project
            else None
        )
        endpoint = GeminiEndpoint.of(settings, self._credentials)
        self._handles = Handles(self._redis, node_id=settings.media_node_id, ttl_s=settings.redis_session_ttl)
        renewals = RenewalPlan.of(settings, self._handles.keep)
        self._lines = SpokenLines.of(settings, endpoint, self._redis, self._codecs)
        self.node = Node(
            node_id=settings.media_node_id,
            capacity=settings.media_capacity,
            pool=GeminiPool.of(settings, endpoint),
            codecs=self._codecs,
            listener=Listener(_detectors),
            emit=self._outbox.append,
            model_path=endpoint.model,
            tells_heard=settings.gemini_tell_heard == "yes",
            renewals=renewals,
            tells_keys=settings.dtmf_to_model == "yes",
            stalls=StallPlan.from_settings(settings),
            lines=self._lines,
        )
        verifier = Verifier(
            settings.twilio_auth_token.get_secret_value(),
            settings.twilio_shared_key_id,
            settings.twilio_shared_key_secret.get_secret_value(),
        )
        self._twilio = TwilioServer(self.node, verifier if verifier.armed else None)
        self._collection = Collection(monotonic_ns())
        self._beat = Beat(self._between_frames)
        self._watchdog = Watchdog(self._beat)
        self._metrics = MetricsServer(
            NodeCollector(self.node, self._outbox, self._codecs),
            LoopCollector(self._beat, self._watchdog, self._collection),
            PoolCollector(self.node),
            RenewalCollector(renewals.counts),
            TurnCollector(self.node.listener, self.node.holds),
            StallCollector(self.node.stalls.book),
            SpokenLineCollector(self._lines.counts),
        )
        self._sdk = GeminiSdk()
        self._ws_url = ""
        self._grpc_address = ""
        self._grpc: GrpcServer | None = None
        self._registry = Registry(self._redis, self._entry)
        self._tasks: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()

    async def start(self) -> dict[str, object]:
        """Bind every port, then import what is only needed later; returns the endpoints.

        Raises:
            PortUnavailable
        """
        s = self._settings
        warm_up(self._codecs)
        with _binding("MEDIA_WS_PORT", s.media_ws_port):
            ws_port = await self._twilio.start(s.media_host, s.media_ws_port)
        self._ws_url = self._twilio.public_url = s.public_ws_url(ws_port)
        self._grpc = GrpcServer(MediaPlaneService(self.node, self._sdk, s, self._ws_url))
        with _binding("MEDIA_GRPC_PORT", s.media_grpc_port):
            grpc_port = await self._grpc.start(s.media_host, s.media_grpc_port, s.media_grpc_tls)
        self._grpc_address = s.grpc_advertise(grpc_port)
        with _binding("MEDIA_METRICS_PORT", s.media_metrics_port):
            metrics_port = self._metrics.start(s.media_host, s.media_metrics_port)
        self.node.changed = self._registry.changed
        if self._credentials is not None:
            await self._credentials.start(within_s=_TOKEN_S)
        self.node.pool.start()
        self._tasks = [
            asyncio.create_task(self._outbox.run(), name="outbox"),
            asyncio.create_task(self._registry.run(), name="registry"),
            asyncio.create_task(self._handles.run(), name="handles"),
        ]
        if self._credentials is not None:
            self._tasks.append(asyncio.create_task(self._credentials.run(), name="credentials"))
        await self.node.listener.load()
        await self._sdk.load()
        if self._owns_process:
            self._collection.take_over()
        self._beat.start()
        self._watchdog.start()
        return {
            "media_ws": f"ws://{s.media_host}:{ws_port}",
            "media_grpc": f"{s.media_host}:{grpc_port}",
            "media_metrics": f"http://{s.media_host}:{metrics_port}/metrics",
        }

    async def run(self, lifeline_fd: int | None = None) -> None:
        """Serve until asked to stop, then drain.

        The end of the pipe `lifeline_fd` asks, too: nobody supervises this node any more.
        """
        loop = asyncio.get_running_loop()
        if lifeline_fd is not None:
            loop.add_reader(lifeline_fd, self._on_lifeline_end, lifeline_fd)
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._on_signal, signum)
        await self._stop.wait()
        await self.stop(self._settings.media_drain_s)

    async def stop(self, grace_s: float, flush_s: float = _FLUSH_S) -> None:
        """Stop admitting, finish calls for `grace_s`, write their events for `flush_s`, close."""
        assert self._grpc is not None, "stop before start"
        await self._grpc.drain()
        await self.node.drain(grace_s)
        await self._lines.close()
        self._twilio.stop()
        await self._outbox.drain(flush_s)
        await _end(self._tasks)
        await self._registry.remove()
        await self._grpc.stop(grace_s=1.0)
        self._metrics.stop()
        self._watchdog.stop()
        self._beat.stop()
        await self._redis.aclose()
        log.info("stopped")

    def _between_frames(self, now_ns: int) -> None:
        self._collection.run(self.node.busy, now_ns)

    def _on_signal(self, signum: int) -> None:
        if self._stop.is_set():
            log.warning("stopped at once")
            os._exit(128 + signum)
        log.info("stopping", signal=signal.Signals(signum).name)
        self._stop.set()

    def _on_lifeline_end(self, fd: int) -> None:
        asyncio.get_running_loop().remove_reader(fd)
        if not self._stop.is_set():
            log.warning("stopping: the supervisor is gone")
            self._stop.set()

    def _entry(self) -> NodeEntry:
        return NodeEntry(
            id=self.node.id,
            grpc_address=self._grpc_address,
            ws_url=self._ws_url,
            capacity=self.node.capacity,
            calls=len(self.node.sessions),
            draining=self.node.draining,
        )


async def serve(settings: Settings, lifeline_fd: int | None = None) -> None:
    """One media node from start to end; `lifeline_fd` as of `MediaServer.run`."""
    logs.configure(settings.environment, settings.log_level)
    sys.setswitchinterval(_SWITCH_S)
    server = MediaServer(settings, owns_process=True)
    endpoints = await server.start()
    log.info("serving", node_id=server.node.id, **endpoints)
    _say_ready(endpoints)
    await server.run(lifeline_fd)


@contextmanager
def _binding(variable: str, port: int) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # RuntimeError: gRPC's
        raise PortUnavailable(f"{variable}: port {port} can't be had: {error}") from error


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel until it is over: a cancellation that comes together with an answer can get lost in a client."""
    pending: set[asyncio.Task[None]] = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.2)


def _codecs(settings: Settings) -> Codecs:
    if settings.media_resampler is Resampler.KERNEL:
        return KernelCodecs(settings.gemini_uplink_rate)
    from media_plane.dsp.plain import PlainCodecs  # and SOXR with it, which few need

    return PlainCodecs(settings.media_resampler.value, settings.gemini_uplink_rate)


def _detectors() -> Detectors[Any]:
    from media_plane.dsp.silero import Sileros  # and ggml with it, once the ports are open

    return Sileros()


def _say_ready(endpoints: dict[str, object]) -> None:
    """One line on the descriptor that VOICEPLANE_READY_FD names (docs/seams.md)."""
    descriptor = os.environ.pop("VOICEPLANE_READY_FD", "")
    if descriptor:
        with os.fdopen(int(descriptor), "w") as out:
            out.write(json.dumps({"ready": True, **endpoints}) + "\n")
