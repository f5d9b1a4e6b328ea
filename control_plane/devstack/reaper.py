"""The stack's last line of defence: a process that outlives the launcher and ends what it left behind.

    python -m control_plane.devstack.reaper GRACE_SECONDS

Standard input is a pipe. Each child of the stack writes one line to it as it starts, before it becomes the
program it is meant to be: `+ PID SIGNAL` (`+ 4711 INT`), PID being also its process group. The launcher writes
`- PID` once the child has gone. The pipe ends when the launcher has, in whatever way: every group that is still
there then gets its signal, newest first, and `SIGKILL` after the grace.

The reaper has a session of its own, so Ctrl-C in the launcher's terminal does not reach it. It also holds the
data folder's lock (inherited, as every open file not marked otherwise), so no second stack can start in the
folder before the last process of the first one is gone. Standard library only: it must be cheap and must not
fail.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterable

POLL_S = 0.02


def follow(lines: Iterable[str], groups: dict[int, signal.Signals]) -> None:
    """Keep `groups` as the lines say: process group to the signal that ends it, oldest first."""
    for line in lines:
        match line.split():
            case ["+", pid, name]:
                groups[int(pid)] = signal.Signals[f"SIG{name}"]
            case ["-", pid]:
                groups.pop(int(pid), None)
            case _:
                # A line cut short by its writer's death: that process never became anything.
                continue


def alive(group: int) -> bool:
    """Whether any process is left in the group (a zombie counts until its parent has seen it)."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody is there, only not ours to signal
    return True


def end(groups: dict[int, signal.Signals], grace_s: float) -> None:
    """Signal every group's leader, newest first; kill the groups that are still there after the grace."""
    for pid, signum in reversed(groups.items()):
        _send(os.kill, pid, signum)
    deadline = time.monotonic() + grace_s
    while any(map(alive, groups)) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    for pid in groups:
        _send(os.killpg, pid, signal.SIGKILL)


def _send(call: object, pid: int, signum: signal.Signals) -> None:
    try:
        call(pid, signum)  # type: ignore[operator]
    except (ProcessLookupError, PermissionError):
        pass


def main() -> None:
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    groups: dict[int, signal.Signals] = {}
    follow(sys.stdin, groups)
    end(groups, float(sys.argv[1]))


if __name__ == "__main__":
    main()
