"""The API process: REST, gRPC and metrics served from one event loop, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass

import prometheus_client
import structlog
import uvicorn
from fastapi import FastAPI

from control_plane import bootstrap, readiness
from control_plane.entrypoints import grpc_server
from control_plane.service.answering import WAIT_S
from control_plane.settings import Settings

log = structlog.get_logger(__name__)

# Longer than a TwiML request waits for its media leg: somebody is on that phone.
HTTP_GRACE_S = 10
GRPC_GRACE_S = 1.0  # watchers resume elsewhere, and every other request takes milliseconds
BACKLOG = 512


class _HttpServer(uvicorn.Server):
    """Leaves signals to `serve`, which must stop gRPC too, and says when it accepts requests."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.accepting = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.accepting.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(frozen=True)
class Endpoints:
    """Where the process serves."""

    rest: str
    grpc: str
    metrics: str


async def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way; a second one ends the process at once.

    Raises:
        OSError: a port is taken; the message says which.
    """
    stop = _stop_on_signals()
    async with running(settings) as endpoints:
        log.info("serving", **asdict(endpoints))
        readiness.announce(**asdict(endpoints))
        await stop.wait()
        log.info("stopping")
    log.info("stopped")


@contextlib.asynccontextmanager
async def running(settings: Settings, *, twiml_wait_s: float = WAIT_S) -> AsyncIterator[Endpoints]:
    """Everything serves inside this block. At its end no new request is taken, and those under way finish.

    Raises:
        OSError: a port is taken; the message says which.
        SettingRefused: a setting can't be used; the message names it.
    """
    async with contextlib.AsyncExitStack() as stack:
        control = bootstrap.control(settings, twiml_wait_s=twiml_wait_s)
        stack.push_async_callback(control.close)
        metrics_url = _serve_metrics(stack, settings)
        listening = _listen(settings.api_host, settings.api_port)
        stack.callback(listening.close)
        grpc = await grpc_server.start(
            control.services,
            control.interceptors,
            settings.api_host,
            settings.grpc_port,
            settings.grpc_tls,
        )
        stack.push_async_callback(grpc.stop, GRPC_GRACE_S)
        await _serve_http(stack, control.app, listening, settings.trusted_proxies)
        stack.callback(control.stop_watching)
        yield Endpoints(
            rest=f"http://{settings.api_host}:{settings.api_port}",
            grpc=f"{settings.api_host}:{grpc.port}",
            metrics=metrics_url,
        )


async def _serve_http(
    stack: contextlib.AsyncExitStack, app: FastAPI, listening: socket.socket, trusted_proxies: str
) -> None:
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,  # the metrics count, and each call logs what matters
        timeout_graceful_shutdown=HTTP_GRACE_S,
        server_header=False,
        # Whose X-Forwarded-For says where a request came from: nobody's, unless the operator knows better.
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=trusted_proxies,
    )
    server = _HttpServer(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]), name="http")

    async def stop() -> None:
        server.should_exit = True
        await serving

    stack.push_async_callback(stop)
    await server.accepting.wait()


def _stop_on_signals() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the next one finds the system's own handler."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked(number: signal.Signals) -> None:
        log.info("asked to stop", signal=number.name)
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked, number)
    return stop


def _serve_metrics(stack: contextlib.AsyncExitStack, settings: Settings) -> str:
    """Prometheus on a port of its own, so that the API's need not be open to the scraper."""
    try:
        server, thread = prometheus_client.start_http_server(
            settings.control_metrics_port, addr=settings.api_host
        )
    except OSError as error:
        raise OSError(f"CONTROL_METRICS_PORT {settings.control_metrics_port}: {error}") from error
    stack.callback(thread.join)
    stack.callback(server.server_close)
    stack.callback(server.shutdown)
    return f"http://{settings.api_host}:{settings.control_metrics_port}/metrics"


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise OSError(f"API_PORT {port}: {error}") from error
    listening.setblocking(False)
    return listening
