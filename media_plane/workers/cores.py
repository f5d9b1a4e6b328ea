"""Which CPU cores this process may use: its affinity, and its cgroup's quota.

A core is what the kernel schedules on: with hyper-threading, a hardware thread.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")


@dataclass(frozen=True)
class Cores:
    """usable: how many cores' worth of time there is, at least one; pins: the numbers of those to pin to.

    `pins` is empty where pinning is impossible, or would harm: under a quota smaller than the affinity,
    others share these cores, and every container of the machine would pin its workers to the same first ones.
    """

    usable: int
    pins: tuple[int, ...]


def find_cores(root: Path = ROOT) -> Cores:
    """Look once, at start."""
    if not hasattr(os, "sched_getaffinity"):  # macOS
        return Cores(os.cpu_count() or 1, ())
    return within(tuple(sorted(os.sched_getaffinity(0))), quota(root))


def within(affinity: tuple[int, ...], limit: float | None) -> Cores:
    """What is left of `affinity` under a quota of `limit` cores; None: no quota."""
    if limit is None or limit >= len(affinity):
        return Cores(len(affinity), affinity)
    return Cores(max(1, int(limit)), ())


def quota(root: Path = ROOT) -> float | None:
    """Cores' worth of CPU time that the cgroups above this process allow; None: no limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    limits: list[float] = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            base = root / "sys/fs/cgroup"
        elif "cpu" in controllers.split(","):
            base = root / "sys/fs/cgroup/cpu"
        else:
            continue
        # A limit anywhere above holds here; in a container the path may name folders that only the host sees.
        folder = Path(path)
        for level in (folder, *folder.parents):
            limits += _limit(base / str(level).lstrip("/"))
    return min(limits, default=None)


def _limit(folder: Path) -> list[float]:
    try:
        if (folder / "cpu.max").exists():
            allowed, period = (folder / "cpu.max").read_text().split()
            return [] if allowed == "max" else [int(allowed) / int(period)]
        allowed = (folder / "cpu.cfs_quota_us").read_text()
        period = (folder / "cpu.cfs_period_us").read_text()
        return [] if int(allowed) <= 0 else [int(allowed) / int(period)]
    except (OSError, ValueError, ZeroDivisionError):
        return []
