"""Starts children so that nothing can leave them behind, and keeps the reaper that sees to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from control_plane.devstack import reaper
from control_plane.devstack.child import Child, ReadyPipe
from control_plane.devstack.component import Component

GRACE_S = 5.0  # what the reaper gives the children of a dead launcher


class Launcher:
    """The reaper's process and the pipe to it. `open`, any number of `start` and `gone`, `close`."""

    def __init__(self, log: Path, lock_fd: int) -> None:
        """The reaper holds `lock_fd` as long as it lives: until the last child has gone."""
        self._log = log
        self._lock_fd = lock_fd
        self._pipe_fd = -1
        self._process: asyncio.subprocess.Process | None = None

    async def open(self) -> None:
        read_fd, self._pipe_fd = os.pipe()
        try:
            with self._log.open("ab") as output:
                self._process = await asyncio.create_subprocess_exec(
                    # Isolated and without site-packages: it needs neither, and starts in milliseconds.
                    *(sys.executable, "-I", "-S", reaper.__file__, str(GRACE_S)),
                    stdin=read_fd,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    pass_fds=(self._lock_fd,),
                    cwd="/",
                )
        finally:
            os.close(read_fd)

    async def died(self) -> int:
        """Wait for the reaper to end; its exit status."""
        assert self._process is not None
        return await self._process.wait()

    async def start(
        self,
        component: Component,
        argv: Sequence[str],
        env: Mapping[str, str],
        ready: ReadyPipe | None = None,
    ) -> Child:
        """Start a program for a component, as the component's user, its output in the component's log."""
        child = await Child.start(
            argv,
            env=env if ready is None else {**env, "VOICEPLANE_READY_FD": str(ready.write_fd)},
            log=component.log,
            announce_fd=self._pipe_fd,
            cwd=component.cwd,
            account=component.account,
            pass_fds=() if ready is None else (ready.write_fd,),
            stop_signal=component.stop_signal,
        )
        if ready is not None:
            ready.child_has_it()
        return child

    def gone(self, child: Child) -> None:
        """Tell the reaper that a child has ended, before its pid can be somebody else's."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._pipe_fd, f"- {child.pid}\n".encode())

    async def close(self) -> None:
        """The pipe's end ends the reaper, and whatever it still knows of."""
        if self._pipe_fd >= 0:
            os.close(self._pipe_fd)
            self._pipe_fd = -1
        if self._process is not None:
            await self._process.wait()
