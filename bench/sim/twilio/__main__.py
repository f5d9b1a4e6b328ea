"""`python -m bench.sim.twilio`: a Twilio to develop against."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import logging
import os
import signal
import sys
from pathlib import Path

import structlog

from bench.sim.twilio.config import Config
from bench.sim.twilio.persona import PersonaError, parse_persona
from bench.sim.twilio.request import valid_number, valid_url
from bench.sim.twilio.server import Simulator

log = structlog.get_logger()


def parse_arguments(arguments: list[str]) -> Config:
    """Command-line arguments as a configuration; wrong ones end the process with status 2."""
    defaults = Config()
    parser = argparse.ArgumentParser(prog="python -m bench.sim.twilio", description="A simulated Twilio.")
    parser.add_argument("--host", default=defaults.host)
    parser.add_argument("--port", type=int, default=defaults.port, help="REST")
    parser.add_argument("--admin-port", type=int, default=defaults.admin_port)
    parser.add_argument("--account-sid", default=defaults.account_sid)
    parser.add_argument("--auth-token", default=defaults.auth_token)
    parser.add_argument("--number", default=defaults.number, help="the account's number, E.164")
    parser.add_argument("--voice-url", default=defaults.voice_url, help="asked for TwiML on inbound calls")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument(
        "--recordings", type=Path, default=None, help="folder for each call's WAV and timeline"
    )
    parser.add_argument("--speech", action=argparse.BooleanOptionalAction, default=defaults.speech)
    parser.add_argument("--persona", type=Path, default=None, help="JSON file: who answers every number")
    parser.add_argument("--cps", type=float, default=defaults.cps, help="calls per second; 0: no queue")
    given = parser.parse_args(arguments)
    if not valid_number(given.number):
        parser.error(f"--number: {given.number!r} is not E.164")
    if given.voice_url and not valid_url(given.voice_url):
        parser.error(f"--voice-url: {given.voice_url!r} is no http address")
    if given.cps < 0:
        parser.error("--cps: must not be negative")
    persona = defaults.persona
    if given.persona is not None:
        try:
            persona = parse_persona(json.loads(given.persona.read_text()))
        except (OSError, json.JSONDecodeError, PersonaError) as error:
            parser.error(f"--persona: {error}")
    return Config(**(vars(given) | {"persona": persona}))


async def serve(config: Config) -> None:
    """Until SIGTERM or SIGINT; a second one of either ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    simulator = Simulator(config)
    await simulator.start()
    gc.freeze()  # what start-up made is never garbage; a full collection would hold up every call's frames
    log.info("ready", twilio=simulator.rest_url, twilio_admin=simulator.admin_url)
    if (descriptor := os.environ.get("VOICEPLANE_READY_FD")) is not None:
        with os.fdopen(int(descriptor), "w") as pipe:
            endpoints = {"twilio": simulator.rest_url, "twilio_admin": simulator.admin_url}
            pipe.write(json.dumps({"ready": True, **endpoints}) + "\n")
    await stop.wait()
    log.info("stopping")
    await simulator.close()


def configure_logging() -> None:
    """structlog to standard error: coloured on a terminal, JSON lines elsewhere."""
    level = logging.getLevelNamesMapping().get(os.environ.get("LOG_LEVEL", "INFO").upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.StackInfoRenderer(),
            structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.dict_tracebacks,
            *([] if sys.stderr.isatty() else [structlog.processors.JSONRenderer()]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def main() -> None:
    config = parse_arguments(sys.argv[1:])
    configure_logging()
    try:
        if sys.platform == "win32":
            asyncio.run(serve(config))
        else:
            import uvloop

            uvloop.run(serve(config))
    except OSError as error:
        sys.exit(f"twilio simulator: {error}")


if __name__ == "__main__":
    main()
