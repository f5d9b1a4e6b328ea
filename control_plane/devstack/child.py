"""One child process: known to the reaper before it runs, its output in a file, stopped with its group."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from control_plane.devstack.component import Account

# The shell tells the reaper its own pid through the pipe on standard input, then becomes the program, with
# the pipe closed. So there is no child that the reaper does not know, at whatever moment the launcher dies.
ANNOUNCE = 'echo "+ $$ $1" >&0 || exit 1; shift; exec "$@" </dev/null'
TAIL_BYTES = 16_384
READY_BYTES = 65_536  # a line longer than that is none


class Child:
    """A running program. `wait()` gives its exit status; negative: the signal that ended it."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, stop_signal: signal.Signals) -> None:
        self._process = process
        self._stop_signal = stop_signal
        self.log = log
        self.pid = process.pid
        self._exited = asyncio.ensure_future(process.wait())

    @classmethod
    async def start(
        cls,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        announce_fd: int,
        cwd: Path | None = None,
        account: Account | None = None,
        pass_fds: Sequence[int] = (),
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> Child:
        """Start `argv` in a session of its own; its output is appended to `log`."""
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                "/bin/sh",
                "-c",
                ANNOUNCE,
                "sh",
                stop_signal.name.removeprefix("SIG"),
                *argv,
                stdin=announce_fd,
                stdout=output,
                stderr=output,
                env=dict(env),
                cwd=cwd,
                pass_fds=pass_fds,
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )
        return cls(process, log, stop_signal)

    async def wait(self) -> int:
        """The exit status, once there is one. Whoever waits may be cancelled; the process is not."""
        await asyncio.wait((self._exited,))
        return self._exited.result()

    async def stop(self, grace_s: float, hurry: asyncio.Event) -> bool:
        """End the process and its group; answers whether it went by itself within the grace.

        `hurry`, once set, cuts every grace short.
        """
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(self._stop_signal)
        hurried = asyncio.ensure_future(hurry.wait())
        await asyncio.wait((self._exited, hurried), timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        orderly = self._exited.done()
        # Also when the leader has gone: what it started itself must not outlive it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        await self.wait()
        return orderly


class ReadyPipe:
    """The pipe on which a child says that it serves (VOICEPLANE_READY_FD, docs/seams.md)."""

    def __init__(self) -> None:
        self._read_fd, self.write_fd = os.pipe()

    def child_has_it(self) -> None:
        """Close our copy of the writing end, so that the child's death is the pipe's end."""
        os.close(self.write_fd)
        self.write_fd = -1

    async def message(self) -> dict[str, object] | None:
        """The child's one line; None when it closed the pipe, or died, without it."""
        loop = asyncio.get_running_loop()
        line = bytearray()
        complete = loop.create_future()

        def on_readable() -> None:
            chunk = os.read(self._read_fd, READY_BYTES)
            line.extend(chunk)
            if not chunk or b"\n" in chunk or len(line) > READY_BYTES:
                loop.remove_reader(self._read_fd)
                complete.set_result(None)

        loop.add_reader(self._read_fd, on_readable)
        try:
            await complete
        finally:
            loop.remove_reader(self._read_fd)
        try:
            message = json.loads(line)
        except ValueError:
            return None
        return message if isinstance(message, dict) and message.get("ready") is True else None

    def close(self) -> None:
        for fd in (self._read_fd, self.write_fd):
            if fd >= 0:
                os.close(fd)
        self._read_fd = self.write_fd = -1


def last_lines(log: Path, count: int = 20) -> list[str]:
    """The end of a log file."""
    with log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()[-count:]
