"""The simulator as a whole: both HTTP servers around one world."""

from __future__ import annotations

import structlog
from aiohttp import web

from bench.sim.twilio.admin import admin_app
from bench.sim.twilio.config import Config
from bench.sim.twilio.rest import rest_app
from bench.sim.twilio.voice import AudioError
from bench.sim.twilio.world import World

log = structlog.get_logger()

SHUTDOWN_S = 1.0  # for HTTP requests under way


class Simulator:
    """`await start()`, use `rest_url` and `admin_url`, `await close()`."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.rest_url = ""
        self.admin_url = ""
        self.world: World | None = None
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        """Bind both ports. Raises `OSError` when one is taken."""
        self.world = World(self.config)
        try:
            self.rest_url = await self._serve(rest_app(self.world), self.config.port)
            self.admin_url = await self._serve(admin_app(self.world), self.config.admin_port)
        except OSError:
            await self.close()
            raise
        self.world.base_url = self.rest_url
        self.world.spawn(self._warm_up(self.world))

    async def close(self) -> None:
        """Hang up all calls, send their last callbacks, unbind."""
        if self.world is not None:
            await self.world.close()
        for runner in self._runners:
            await runner.cleanup()

    async def _warm_up(self, world: World) -> None:
        """Make the default persona's audio now rather than while the first call rings."""
        try:
            await world.voice.prepare(self.config.persona)
        except AudioError as error:
            log.warning("persona_error", reason=str(error))

    async def _serve(self, app: web.Application, port: int) -> str:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S)
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, self.config.host, port).start()
        host, bound = runner.addresses[0][:2]
        return f"http://{host}:{bound}"
