"""One running worker process, as its supervisor holds it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from media_plane.workers.plan import Worker

Command = Callable[[Worker, int], Sequence[str]]


def worker_command(worker: Worker, lifeline_fd: int) -> list[str]:
    """What runs a worker: `media_plane.workers.worker`, by this interpreter."""
    pin = [] if worker.core is None else ["--core", str(worker.core)]
    return [sys.executable, "-m", "media_plane.workers.worker", "--lifeline-fd", str(lifeline_fd), *pin]


class Child:
    """A started worker. `ready` gives what it bound, `wait` its exit status; negative: a signal's number."""

    def __init__(self, process: asyncio.subprocess.Process, ready_fd: int) -> None:
        self._process = process
        self._ready_fd = ready_fd
        self.pid = process.pid

    @classmethod
    async def start(cls, worker: Worker, lifeline_fd: int, command: Command) -> Child:
        """Start it in a process group of its own, where a terminal's Ctrl-C reaches it only through us."""
        ready_fd, theirs = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *command(worker, lifeline_fd),
                env=os.environ | worker.env | {"VOICEPLANE_READY_FD": str(theirs)},
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(lifeline_fd, theirs),
                process_group=0,
            )
        except BaseException:
            os.close(ready_fd)
            raise
        finally:
            os.close(theirs)  # so that the worker's death is the pipe's end
        return cls(process, ready_fd)

    async def ready(self) -> dict[str, Any] | None:
        """The worker's readiness line; None: it ended, or closed the pipe, without one. Ask once."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        pipe = os.fdopen(self._ready_fd, "rb", buffering=0)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        try:
            line = await reader.readline()
        finally:
            transport.close()
        try:
            said: dict[str, Any] = json.loads(line)
        except ValueError:
            return None
        return said

    async def wait(self) -> int:
        return await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
