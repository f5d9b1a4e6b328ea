"""The stack's last line of defence: a process that outlives the launcher and ends what it left behind.

    python reaper.py GRACE_SECONDS

Standard input is a pipe. Each child of the stack writes one line to it as it starts, before it becomes the
program it is meant to be: `+ PID SIGNAL` (`+ 4711 INT`); PID is its process group too. The launcher writes
`- PID` once the child has gone. The pipe ends when the launcher has, in whatever way: every group that is
still there then gets its signal, newest first, and SIGKILL after the grace.

The reaper has a session of its own, so Ctrl-C in the launcher's terminal does not reach it. It inherits the
data folder's lock, so no second stack starts in the folder before the last process of the first has gone.
Standard library only: it must be cheap and must not fail.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

POLL_S = 0.02


def follow(lines: Iterable[str], groups: dict[int, signal.Signals]) -> None:
    """Keep `groups` as the lines say: process group to the signal that ends it, oldest first."""
    for line in lines:
        match line.split():
            case ["+", pid, name]:
                groups[int(pid)] = signal.Signals[f"SIG{name}"]
            case ["-", pid]:
                groups.pop(int(pid), None)


def end(groups: dict[int, signal.Signals], grace_s: float) -> None:
    """Signal every group's leader, newest first; kill the groups that are still there after the grace."""
    gone = (ProcessLookupError, PermissionError)  # or somebody else's by now
    for pid, signum in reversed(groups.items()):
        with contextlib.suppress(*gone):
            os.kill(pid, signum)
    deadline = time.monotonic() + grace_s
    while living(groups.keys()) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    for pid in living(groups.keys()):
        with contextlib.suppress(*gone):
            os.killpg(pid, signal.SIGKILL)


def living(groups: Iterable[int]) -> set[int]:
    """Those of the groups in which a process runs.

    A dead process that nobody has waited for yet is still in its group, and stays there for good where the
    machine's first process does not wait for others' children (a container, often). /proc tells them apart.
    """
    wanted = set(groups)
    if not Path("/proc/self/stat").exists():
        return {group for group in wanted if _has_members(group)}
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            # "pid (name) state parent group …"; the name may hold anything, brackets too
            state, _, group = stat.read_bytes().rpartition(b")")[2].split()[:3]
            if state not in (b"Z", b"X"):
                found.add(int(group))
    return wanted & found


def _has_members(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def main() -> None:
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    groups: dict[int, signal.Signals] = {}
    follow(sys.stdin, groups)
    end(groups, float(sys.argv[1]))


if __name__ == "__main__":
    main()
