"""The gRPC server around CallService: health, reflection, limits."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from protos.voiceplane.calls.v1 import calls_pb2
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceServicer, add_CallServiceServicer_to_server

MAX_MESSAGE_BYTES = 256 * 1024
SERVICE = calls_pb2.DESCRIPTOR.services_by_name["CallService"].full_name

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),  # a second server on our port is a mistake, not half of the traffic
    # WatchCall is quiet for minutes: let clients ping, and notice those that have gone.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
]


@dataclass
class GrpcServer:
    """A server that listens; `stop` it in the loop it was started in."""

    server: grpc.aio.Server
    health: health.aio.HealthServicer
    port: int

    async def stop(self, grace_s: float) -> None:
        """Take no more requests, tell health watchers, and end what still runs after `grace_s`."""
        await self.health.enter_graceful_shutdown()
        await self.server.stop(grace_s)


async def start(service: CallServiceServicer, host: str, port: int) -> GrpcServer:
    """Listen on `host:port` (0: any free port) and serve.

    Raises:
        OSError: the port is taken.
    """
    server = grpc.aio.server(options=_OPTIONS)
    add_CallServiceServicer_to_server(service, server)
    health_service = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
    reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    try:
        bound = server.add_insecure_port(f"{host}:{port}")
    except RuntimeError as error:
        raise OSError(f"GRPC_PORT {port}: {error}") from error
    await server.start()
    for name in ("", SERVICE):
        await health_service.set(name, health_pb2.HealthCheckResponse.SERVING)
    return GrpcServer(server, health_service, bound)
