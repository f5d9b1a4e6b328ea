"""`python -m workflows`: the worker process."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from prometheus_client import start_http_server

from control_plane import bootstrap, readiness, startup
from control_plane.settings import Settings
from workflows.worker import build, connect

_log = structlog.get_logger(__name__)

# As long as followers and dials get; what is not executed by then another worker begins anew.
TOOLS_GRACE_S = 10.0


async def serve(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, then finish what is under way; a second one ends the process at once.

    Raises:
        OSError: the metrics' port is taken; the message says which.
    """
    stopping = asyncio.create_task(_stop_on_signals().wait())
    with _metrics_served(settings) as metrics_url:
        connecting = asyncio.create_task(connect(settings))
        await asyncio.wait([stopping, connecting], return_when=asyncio.FIRST_COMPLETED)
        if not connecting.done():
            connecting.cancel()
            return
        ports = bootstrap.worker(settings)
        try:
            worker = build(await connecting, ports)
            working = asyncio.create_task(worker.run())
            tools = asyncio.create_task(ports.runner.run(), name="tools")
            _log.info("working", task_queue=worker.task_queue, temporal=settings.temporal_host)
            readiness.announce(metrics=metrics_url)
            await asyncio.wait([stopping, working, tools], return_when=asyncio.FIRST_COMPLETED)
            _log.info("stopping")
            ending = [ports.runner.stop(TOOLS_GRACE_S)]
            if not working.done():
                ending.append(worker.shutdown())
            await asyncio.gather(*ending)
            await asyncio.gather(working, tools)  # raises what ended them, if that was not us
        finally:
            await ports.close()
    _log.info("stopped")


def _stop_on_signals() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the next one finds the system's own handler."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def asked() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        stop.set()

    for number in numbers:
        loop.add_signal_handler(number, asked)
    return stop


@contextmanager
def _metrics_served(settings: Settings) -> Iterator[str]:
    host, port = settings.api_host, settings.worker_metrics_port
    try:
        server, thread = start_http_server(port, host)
    except OSError as error:
        raise OSError(f"WORKER_METRICS_PORT {port}: {error}") from error
    try:
        yield f"http://{host}:{port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> int:
    """Returns the exit status, as `startup.run` explains it."""
    return startup.run(lambda settings: asyncio.run(serve(settings)))


if __name__ == "__main__":
    sys.exit(main())
