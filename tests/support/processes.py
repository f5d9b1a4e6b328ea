"""Looking at processes from outside, to see what a stack leaves behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil


def runs(pid: int) -> bool:
    """Whether a process with this pid runs; one that is dead and not yet waited for does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def family(pid: int) -> set[int]:
    """The process and everything it started, directly or not."""
    process = psutil.Process(pid)
    return {pid, *(child.pid for child in process.children(recursive=True))}


def mentioning(path: Path) -> list[str]:
    """The command lines of running processes that name a path."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(path) in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(line)
    return found


async def until(condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
    """Wait for a condition to hold; fails with `what` if it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)


async def until_gone(pids: Iterable[int], timeout_s: float = 20.0) -> None:
    pids = set(pids)
    await until(lambda: not any(map(runs, pids)), f"still running: {sorted(filter(runs, pids))}", timeout_s)
