"""`python -m workflows`: run the worker as a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import structlog
from prometheus_client import start_http_server
from pydantic import ValidationError

from control_plane import logs, readiness
from control_plane.settings import Settings
from workflows.worker import build, connect, worker_ports

_log = structlog.get_logger(__name__)


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; a second one ends the process at once."""
    stopping = asyncio.Event()

    def stop() -> None:
        if stopping.is_set():
            os._exit(1)
        stopping.set()

    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop)

    server, _ = start_http_server(settings.worker_metrics_port, settings.api_host)
    try:
        await _serve(settings, stopping)
    finally:
        server.shutdown()
        server.server_close()


async def _serve(settings: Settings, stopping: asyncio.Event) -> None:
    stopped = asyncio.create_task(stopping.wait())
    connecting = asyncio.create_task(connect(settings))
    await asyncio.wait([stopped, connecting], return_when=asyncio.FIRST_COMPLETED)
    if not connecting.done():
        connecting.cancel()
        await asyncio.gather(connecting, return_exceptions=True)
        return
    async with worker_ports(settings) as ports:
        worker = build(connecting.result(), ports)
        running = asyncio.create_task(worker.run())
        _log.info("worker polls", task_queue=worker.task_queue, temporal=settings.temporal_host)
        readiness.announce(metrics=f"http://{settings.api_host}:{settings.worker_metrics_port}/metrics")
        await asyncio.wait([stopped, running], return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            _log.info("worker stops polling")
            await worker.shutdown()
        await running  # raises what ended it, if that was not us
    _log.info("worker stopped")


def main() -> int:
    try:
        settings = Settings()
        logs.configure(settings.environment, settings.log_level)
    except ValidationError as exc:
        for error in exc.errors():
            name = ".".join(str(part) for part in error["loc"]).upper()
            print(f"{name}: {error['msg']}", file=sys.stderr)  # noqa: T201
        return 2
    except ValueError as exc:
        print(f"LOG_LEVEL: {exc}", file=sys.stderr)  # noqa: T201
        return 2
    try:
        asyncio.run(run(settings))
    except OSError as exc:
        _log.error("the worker can't run", error=str(exc))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
