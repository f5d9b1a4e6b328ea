"""The gRPC server around the services: health, reflection, limits on clients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from control_plane.errors import SettingRefused
from protos.tls import Identity, TlsFault, server_credentials

MAX_MESSAGE_BYTES = 256 * 1024
MAX_RPCS = 4096  # at the same time, watchers among them; above it RESOURCE_EXHAUSTED

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_metadata_size", 16 * 1024),
    ("grpc.absolute_max_metadata_size", 32 * 1024),
    ("grpc.max_concurrent_streams", 1000),  # on one connection
    ("grpc.so_reuseport", 0),  # a second server on our port is a mistake, not half of the traffic
    # WatchCall is quiet for minutes: let clients ping, and notice those that have gone.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A client that pings more often than that is closed on with ENHANCE_YOUR_CALM.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 3),
    # Idle connections of clients that forgot theirs; and all are renewed now and then, so that new replicas
    # get their share. A watch that is on one then goes on for the grace, and is resumed elsewhere.
    ("grpc.max_connection_idle_ms", 10 * 60_000),
    ("grpc.max_connection_age_ms", 60 * 60_000),
    ("grpc.max_connection_age_grace_ms", 5 * 60_000),
]


@dataclass(frozen=True)
class Service:
    """One service: its full name, and how it comes to a server."""

    name: str
    add: Callable[[grpc.aio.Server], None]

    @classmethod
    def of(cls, module: Any, name: str, add: Callable[[Any, Any], None], servicer: object) -> Service:
        """The service `name` of a generated `…_pb2` module; `add` is `add_{name}Servicer_to_server`."""
        full_name = module.DESCRIPTOR.services_by_name[name].full_name
        return cls(full_name, lambda server: add(servicer, server))


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


async def start(
    services: Sequence[Service],
    interceptors: Sequence[grpc.aio.ServerInterceptor],
    host: str,
    port: int,
    tls: Identity,
) -> GrpcServer:
    """Listen on `host:port` (0: any free port) and serve.

    Raises:
        OSError: the port is taken.
        SettingRefused: a file that `tls` names can't be used.
    """
    try:
        credentials = server_credentials(tls)
    except TlsFault as fault:
        raise SettingRefused(fault.setting, fault.why) from fault
    server = grpc.aio.server(
        interceptors=list(interceptors), options=_OPTIONS, maximum_concurrent_rpcs=MAX_RPCS
    )
    health_service = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_service, server)
    for service in services:
        service.add(server)
    names = [service.name for service in services]
    reflection.enable_server_reflection((*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    try:
        address = f"{host}:{port}"
        if credentials is None:
            bound = server.add_insecure_port(address)
        else:
            bound = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise OSError(f"GRPC_PORT {port}: {error}") from error
    await server.start()
    for name in ("", *names):
        await health_service.set(name, health_pb2.HealthCheckResponse.SERVING)
    return GrpcServer(server, health_service, bound)
