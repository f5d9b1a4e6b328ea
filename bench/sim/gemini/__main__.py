"""`python -m bench.sim.gemini`: the simulator as a process. docs/seams.md says what others assume."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final, TextIO

import structlog
import uvloop
from aiohttp import web

from bench.sim.gemini import admin, scenario
from bench.sim.gemini.errors import ScenarioError
from bench.sim.gemini.server import Simulator
from bench.sim.speech.errors import SpeechUnavailable

_FAILED: Final = 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.sim.gemini", description="A Gemini Live stand-in.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8091, help="WebSocket (0: any free one)")
    parser.add_argument("--admin-port", type=int, default=8092, help="admin HTTP (0: any free one)")
    parser.add_argument("--mode", choices=("speech", "scripted"), default="speech")
    parser.add_argument("--scenario", type=Path, metavar="FILE", help="YAML; default: the mode's own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tls-cert", type=Path, metavar="FILE")
    parser.add_argument("--tls-key", type=Path, metavar="FILE")
    parser.add_argument("--tls-self-signed", type=Path, metavar="DIR", help="make cert.pem and key.pem there")
    parser.add_argument("--log", type=Path, metavar="FILE", help="every session's log, as JSON lines")
    parser.add_argument("--cache-dir", type=Path, metavar="DIR", help="keep said sentences there")
    options = parser.parse_args()
    if (options.tls_cert is None) != (options.tls_key is None):
        parser.error("--tls-cert and --tls-key go together")
    return options


def _configure_logging() -> structlog.stdlib.BoundLogger:
    level = getattr(logging, os.environ.get("LOG_LEVEL", "INFO").upper(), logging.INFO)
    logging.basicConfig(stream=sys.stderr, level=level, format="%(message)s")
    plain = sys.stderr.isatty() and os.environ.get("ENVIRONMENT") != "production"
    renderer = structlog.dev.ConsoleRenderer() if plain else structlog.processors.JSONRenderer()
    logging.getLogger("picows").setLevel(logging.WARNING)  # it logs every connection
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    log: structlog.stdlib.BoundLogger = structlog.get_logger("gemini-sim")
    return log


def _say_ready(endpoints: dict[str, str]) -> None:
    """Tell whoever started us (`VOICEPLANE_READY_FD`)."""
    if fd := os.environ.get("VOICEPLANE_READY_FD"):
        with os.fdopen(int(fd), "w") as file:
            file.write(json.dumps({"ready": True, **endpoints}) + "\n")


async def _run(
    options: argparse.Namespace, log: structlog.stdlib.BoundLogger, log_file: TextIO | None
) -> int:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def on_signal() -> None:
        if stopping.is_set():
            os._exit(_FAILED)  # asked twice: at once
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)

    chosen = scenario.load(options.scenario or scenario.DEFAULTS[options.mode])
    simulator = Simulator(
        chosen, mode=options.mode, seed=options.seed, cache_dir=options.cache_dir, log_file=log_file
    )
    context, scheme = None, "http"
    if options.tls_self_signed is not None or options.tls_cert is not None:
        from bench.sim.gemini import tls  # a tenth of a second that the plain server need not wait for

        if options.tls_self_signed is not None:
            options.tls_cert, options.tls_key = tls.self_signed(options.tls_self_signed)
        context, scheme = tls.server_context(options.tls_cert, options.tls_key), "https"
    await simulator.start(options.host, options.port, context)
    runner = web.AppRunner(admin.build(simulator), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, options.host, options.admin_port)
    await site.start()
    admin_port = runner.addresses[0][1]
    endpoints = {
        "gemini": f"{scheme}://{options.host}:{simulator.port}",
        "gemini_admin": f"http://{options.host}:{admin_port}",
    }
    try:
        await _first(simulator.ready(), stopping.wait())
        if not stopping.is_set():
            log.info("ready", mode=options.mode, scenario=chosen.name, **endpoints)
            _say_ready(endpoints)
        if simulator.speech is not None:
            await _first(simulator.speech.ended(), stopping.wait())
        else:
            await stopping.wait()
        if not stopping.is_set():
            log.error("the speech process ended by itself")
            return _FAILED
        return 0
    finally:
        await simulator.stop()
        await runner.cleanup()
        log.info("stopped")


async def _first(*waits: Coroutine[Any, Any, object]) -> None:
    """Wait for one of these; the others are dropped. Raises what that one raised."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    for task in done:
        task.result()


def main() -> int:
    """Run until asked to stop. Returns the exit status."""
    options = _arguments()
    log = _configure_logging()
    try:
        with options.log.open("w", encoding="utf-8") if options.log else nullcontext() as log_file:
            return uvloop.run(_run(options, log, log_file))
    except (ScenarioError, SpeechUnavailable, OSError) as error:
        log.error(str(error))
        return _FAILED


if __name__ == "__main__":
    sys.exit(main())
