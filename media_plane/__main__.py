"""`python -m media_plane [--workers N|auto]`: one media node, or a supervisor and a node per worker."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Iterable
from typing import NoReturn

from pydantic import ValidationError

from media_plane import logs
from media_plane.errors import PortUnavailable
from media_plane.settings import Settings
from protos.tls import TlsFault


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m media_plane", description=__doc__)
    parser.add_argument(
        "--workers",
        metavar="N|auto",
        help="worker processes, each a node pinned to a core; auto: one per usable core (MEDIA_WORKERS)",
    )
    options = parser.parse_args()
    settings = read_settings(**({} if options.workers is None else {"media_workers": options.workers}))
    if settings.media_workers == 1:
        run_node(settings)
    else:
        sys.exit(_run_workers(settings))


def read_settings(**given: str) -> Settings:
    """The settings, `given` ones first; ends the process with the names of the bad ones."""
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        _refuse(("_".join(map(str, fault["loc"])).upper(), fault["msg"]) for fault in error.errors())


def run_node(settings: Settings, lifeline_fd: int | None = None) -> None:
    """One media node in this process, until SIGTERM."""
    # Imports make objects that stay; looking for garbage among them is an eighth of the start. Once the node
    # serves, its own schedule collects (media_plane.loop.collection).
    gc.disable()
    import uvloop

    from media_plane.server import serve

    try:
        uvloop.run(serve(settings, lifeline_fd))
    except (PortUnavailable, TlsFault) as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        os._exit(1)  # what has started already, gRPC's threads, would complain of its end


def _run_workers(settings: Settings) -> int:
    from media_plane.workers.cores import find_cores
    from media_plane.workers.plan import UnfitSettings, make_plan, worker_count
    from media_plane.workers.supervisor import Supervisor

    cores = find_cores()
    count = worker_count(settings, cores)
    if count == 1:
        run_node(settings)
        return 0
    try:
        plan = make_plan(settings, count, cores)
    except UnfitSettings as unfit:
        _refuse(unfit.faults)
    logs.configure(settings.environment, settings.log_level)

    async def supervise() -> int:
        supervisor = Supervisor(plan, drain_s=settings.media_drain_s)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, supervisor.stop, number)
        return await supervisor.run()

    return asyncio.run(supervise())


def _refuse(faults: Iterable[tuple[str, str]]) -> NoReturn:
    for variable, sentence in faults:
        sys.stderr.write(f"{variable}: {sentence}\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
