"""Starts the workers, says when all serve, brings back those that die, and ends them together.

The first worker starts alone, the others when it serves: on a machine without compiled kernels it compiles
them into numba's cache, and the others find them there.

A worker that dies is started again, under its name, after half a second, then twice as long each time, up to
30 s. Before everything has served once, three failed starts of one worker end the supervisor: the settings,
or the machine, are wrong. Later a worker that can't be started is tried for ever, for the others' calls are
worth more than a tidy end.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from time import monotonic
from typing import Any

import structlog

from media_plane.workers.child import Child, Command, worker_command
from media_plane.workers.plan import Worker
from media_plane.workers.restarts import MAX_FAILED_STARTS, Restarts

log = structlog.get_logger(__name__)

AFTER_DRAIN_S = 15.0  # beyond the drain: the last events, sockets, the interpreter's end
_LAST_WORD_S = 2.0  # between a second signal and SIGKILL


class Supervisor:
    """`run` once; it returns the exit status. `stop` is what signals call."""

    def __init__(
        self,
        plan: Sequence[Worker],
        *,
        drain_s: float,
        after_drain_s: float = AFTER_DRAIN_S,
        command: Command = worker_command,
    ) -> None:
        self._plan = plan
        self._patience_s = drain_s + after_drain_s
        self._command = command
        self._children: dict[int, Child] = {}
        self._serving: dict[int, dict[str, Any]] = {}  # what each worker said it bound
        self._first_serves = asyncio.Event()
        self._all_served = asyncio.Event()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._status = 0
        self._lifeline, self._lifeline_end = os.pipe()

    async def run(self) -> int:
        """Until `stop`, or until a worker can't be started: 0 only when every worker ended in order."""
        keepers = [asyncio.create_task(self._keep(worker)) for worker in self._plan]
        await self._stop.wait()
        for child in self._children.values():
            child.signal(signal.SIGTERM)
        killer = asyncio.create_task(self._kill_late())
        await asyncio.gather(*keepers)
        killer.cancel()
        os.close(self._lifeline_end)
        os.close(self._lifeline)
        log.info("all workers ended", status=self._status)
        return self._status

    def stop(self, number: int) -> None:
        """Have the workers drain; called again, end them at once. `number` is the signal's."""
        if self._stop.is_set():
            log.warning("stopping at once")
            self._status = 128 + number
            for child in self._children.values():
                child.signal(signal.SIGTERM)
            self._hurry.set()
            return
        log.info("stopping", signal=signal.Signals(number).name)
        self._stop.set()

    # -- one worker --

    async def _keep(self, worker: Worker) -> None:
        """Have `worker` run until the end is asked for."""
        if worker.index > 0:
            await self._unless_stopped(self._first_serves.wait())
        restarts = Restarts()
        while not self._stop.is_set():
            served_s, ended = await self._run_once(worker)
            if self._stop.is_set():
                self._note_end(worker, served_s, ended)
                return
            delay_s = restarts.died(served_s)
            log.error(
                "worker died",
                node_id=worker.node_id,
                ended=ended,
                served_s=None if served_s is None else round(served_s, 1),
                restarts=restarts.total,
                again_in_s=delay_s,
            )
            if not self._all_served.is_set() and restarts.failed_starts >= MAX_FAILED_STARTS:
                log.error("worker can't be started", node_id=worker.node_id, ended=ended)
                self._status = 1
                self._stop.set()
                return
            await self._unless_stopped(asyncio.sleep(delay_s))

    async def _run_once(self, worker: Worker) -> tuple[float | None, str]:
        """Start and wait; seconds it served (None: it never did) and how it ended."""
        try:
            child = await Child.start(worker, self._lifeline, self._command)
        except OSError as error:  # no memory, or no process, to be had
            return None, str(error)
        self._children[worker.index] = child
        if self._stop.is_set():  # while it was being started
            child.signal(signal.SIGTERM)
        said = await child.ready()
        since = monotonic()
        if said is not None:
            self._serves(worker, child, said)
        status = await child.wait()
        del self._children[worker.index]
        self._serving.pop(worker.index, None)
        return (None if said is None else monotonic() - since), describe(status)

    def _serves(self, worker: Worker, child: Child, said: dict[str, Any]) -> None:
        bound = {name: value for name, value in said.items() if name != "ready"}
        about = {"node_id": worker.node_id, "pid": child.pid, "core": worker.core}
        self._serving[worker.index] = about | bound
        log.info("worker serves", **about)
        self._first_serves.set()
        if len(self._serving) == len(self._plan) and not self._all_served.is_set():
            self._all_served.set()
            self._say_ready()

    def _note_end(self, worker: Worker, served_s: float | None, ended: str) -> None:
        # One that was still starting has no handler for SIGTERM yet, and nothing to finish.
        if ended == describe(0) or (served_s is None and ended == describe(-signal.SIGTERM)):
            return
        log.error("worker did not end in order", node_id=worker.node_id, ended=ended)
        self._status = self._status or 1

    # -- all of them --

    def _say_ready(self) -> None:
        """One line on VOICEPLANE_READY_FD (docs/seams.md): the first worker's endpoints, then everybody's."""
        descriptor = os.environ.pop("VOICEPLANE_READY_FD", "")
        workers = [self._serving[worker.index] for worker in self._plan]
        log.info("serving", workers=len(workers))
        if descriptor:
            first = {name: value for name, value in workers[0].items() if name.startswith("media_")}
            with os.fdopen(int(descriptor), "w") as out:
                out.write(json.dumps({"ready": True, **first, "workers": workers}) + "\n")

    async def _kill_late(self) -> None:
        """A worker that hangs must not keep the others' supervisor for ever."""
        try:
            async with asyncio.timeout(self._patience_s):
                await self._hurry.wait()
        except TimeoutError:
            log.error("workers did not end in time", workers=len(self._children))
        else:
            await asyncio.sleep(_LAST_WORD_S)
        for child in self._children.values():
            child.signal(signal.SIGKILL)

    async def _unless_stopped(self, waiting: Any) -> None:
        """Wait for `waiting`, or for the end being asked for."""
        tasks = [asyncio.ensure_future(waiting), asyncio.ensure_future(self._stop.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


def describe(status: int) -> str:
    """An exit status in words."""
    return f"status {status}" if status >= 0 else signal.Signals(-status).name
