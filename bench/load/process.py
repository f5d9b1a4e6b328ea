"""Child processes pinned to a core, what they have used, and the one line with which they say they serve."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

READY_FD = "VOICEPLANE_READY_FD"


class ChildFailed(Exception):
    """A process of the bench did not start, or died."""


def cores() -> tuple[int, int]:
    """(core of the load, core of what is measured); the same one on a machine with one core."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    return usable[0], usable[1] if len(usable) > 1 else usable[0]


def pin(pid: int, core: int, priority: int = 1) -> None:
    """Bind a process to a core where the system can (Linux); threads it starts later inherit it.

    Where we may (root), it also goes ahead of whatever else the machine does: by real-time scheduling, as
    nice values count only within one terminal's processes where the kernel groups them so.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, {core})
    _go_ahead(pid, priority)


@contextlib.contextmanager
def ahead_of_others() -> Iterator[None]:
    """This process meanwhile goes ahead of the machine's other work, where we may."""
    _go_ahead(0, 1)
    try:
        yield
    finally:
        if hasattr(os, "sched_setscheduler"):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _go_ahead(pid: int, priority: int) -> None:
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(priority))


@dataclass(frozen=True)
class Usage:
    cpu_ns: int  # of all its threads, since its start
    # Its main thread was ready to run, but its core ran something else; 0: the system can't say. Its other
    # threads wait for the main one whenever that is busy.
    wait_ns: int
    rss_bytes: int


def usage(*pids: int) -> Usage:
    """Of these processes together."""
    used = [_usage(pid) for pid in pids]
    return Usage(
        sum(each.cpu_ns for each in used),
        sum(each.wait_ns for each in used),
        sum(each.rss_bytes for each in used),
    )


def _usage(pid: int) -> Usage:
    rss = int(psutil.Process(pid).memory_info().rss)
    try:
        used = sum(_schedstat(path)[0] for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
        return Usage(used, _schedstat(Path(f"/proc/{pid}/task/{pid}/schedstat"))[1], rss)
    except OSError:
        times = psutil.Process(pid).cpu_times()  # in steps of 10 ms; without schedstat there is nothing finer
        return Usage(int((times.user + times.system) * 1e9), 0, rss)


def _schedstat(path: Path) -> tuple[int, int]:
    """ns on a core, ns waiting for one."""
    ran, waited, _ = path.read_text().split()
    return int(ran), int(waited)


def say_ready(**endpoints: object) -> None:
    """Tell the parent, if it wants to know, that this process serves, and where."""
    fd = os.environ.get(READY_FD)
    if fd is not None:
        with os.fdopen(int(fd), "w") as pipe:
            pipe.write(json.dumps({"ready": True, **endpoints}) + "\n")


class Child:
    """A Python module run in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, log: IO[bytes], ready: dict[str, object]) -> None:
        self.process = process
        self.pid = process.pid
        self.ready = ready
        self._log = log

    @classmethod
    async def start(
        cls,
        module: str,
        *,
        core: int,
        env: Mapping[str, str],
        log: Path,
        args: Sequence[str] = (),
        piped: bool = False,
        timeout_s: float = 60,
        priority: int = 1,
    ) -> Child:
        """`python -m module args` on `core`, its errors in `log`; returns when it has said it is ready.

        Of two on one core, that with the higher `priority` never waits for the other.
        With `piped` its standard input and output are pipes; otherwise both are the log.
        """
        output = log.open("wb")
        read_fd, write_fd = os.pipe()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *args,
            env={**os.environ, **env, READY_FD: str(write_fd)},
            pass_fds=(write_fd,),
            stdin=asyncio.subprocess.PIPE if piped else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if piped else output,
            stderr=output,
            limit=1 << 26,
        )
        pin(process.pid, core, priority)
        os.close(write_fd)
        child = cls(process, output, {})
        try:
            async with asyncio.timeout(timeout_s):
                line = await _read_line(read_fd)
            child.ready = json.loads(line) if line else {}
            if child.ready.get("ready") is not True:
                raise ChildFailed(f"{module} did not start:\n{_end_of(log)}")
        except BaseException:
            await child.stop()
            raise
        return child

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL after five seconds."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
            try:
                async with asyncio.timeout(5):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()
        self._log.close()


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


async def _read_line(fd: int) -> bytes:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", buffering=0)
    )
    try:
        return await reader.readline()
    finally:
        transport.close()
