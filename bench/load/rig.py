"""The bench's rig: the load on one core, the systems under load on the other, one run at a time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

from bench.load import driver, systems
from bench.load.generator import Job, LoadFailed, RunResult
from bench.load.process import cores, usage

CALL_NUMBERS: Final = itertools.count()  # a call's key is never used twice


def at(calls: int) -> str:
    return f"{calls} call" if calls == 1 else f"{calls} calls"


class Rig:
    """Starts systems, keeps them all up, loads one at a time, and starts afresh what a load has drowned."""

    def __init__(self, load: driver.Driver, core: int, logs: Path) -> None:
        self._load = load
        self._core = core
        self._logs = logs
        self._running: dict[str, tuple[systems.System, contextlib.AsyncExitStack]] = {}
        self._base: dict[str, int] = {}  # bytes, after the first calls

    async def start(self, names: Sequence[str]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for name in names:
                    group.create_task(self._start(name))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _start(self, name: str) -> None:
        stack = contextlib.AsyncExitStack()
        system = await stack.enter_async_context(
            systems.started(name, gemini_url=self._load.gemini_url, core=self._core, logs=self._logs)
        )
        self._running[name] = system, stack

    async def restart(self, name: str) -> None:
        await self._running.pop(name)[1].aclose()
        self._base.pop(name, None)
        await self._start(name)

    async def stop(self) -> None:
        for _, stack in self._running.values():
            await stack.aclose()

    def base_rss(self, name: str) -> int | None:
        """Memory of `name` after its first run's calls had ended; None before: a first call is no measure."""
        return self._base.get(name)

    async def run(self, name: str, calls: int, settle_s: float, measure_s: float) -> RunResult:
        """Raises LoadFailed when it carries no call at all; it has then been started afresh."""
        system = self._running[name][0]
        try:
            result = await self._load.run(await job(system, calls, settle_s, measure_s))
        except LoadFailed:
            await self.restart(name)
            raise
        if result.trouble:
            await self.restart(name)
        else:
            self._base.setdefault(name, usage(system.pid).rss_bytes)
        return result


async def job(system: systems.System, calls: int, settle_s: float, measure_s: float) -> Job:
    """Calls of `system`, prepared. Raises LoadFailed."""
    keys = [f"{system.name}-{next(CALL_NUMBERS)}" for _ in range(calls)]
    return Job(await system.prepare(keys), settle_s, measure_s, [system.pid])


@contextlib.asynccontextmanager
async def started(names: Sequence[str], logs: Path) -> AsyncIterator[Rig]:
    """A rig with the systems `names` up. Raises ChildFailed when one does not start."""
    load_core, core = cores()
    async with driver.started(load_core, logs) as load:
        rig = Rig(load, core, logs)
        try:
            await rig.start(names)
            yield rig
        finally:
            await rig.stop()
