"""How many cores there are: affinity, and what the cgroups above this process allow."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from media_plane.workers.cores import Cores, find_cores, quota, within


def machine(root: Path, cgroup: str, **limits: str) -> Path:
    """A file tree with /proc/self/cgroup and files of /sys/fs/cgroup; `__` in a name stands for a slash."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in limits.items():
        *folders, stem = name.split("__")
        file = root / "sys/fs/cgroup" / Path(*folders) / {"max": "cpu.max"}.get(stem, f"cpu.cfs_{stem}_us")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_without_a_quota_every_core_of_the_affinity_is_used_and_pinned_to() -> None:
    assert within((2, 3, 7), None) == Cores(3, (2, 3, 7))
    assert within((2, 3), 8.0) == Cores(2, (2, 3))


def test_under_a_smaller_quota_there_are_fewer_workers_and_none_is_pinned() -> None:
    assert within(tuple(range(64)), 2.5) == Cores(2, ())
    assert within((0, 1), 0.25) == Cores(1, ())


def test_the_smallest_limit_of_version_2_counts_whichever_level_it_is_on(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/a/b\n", max="max 100000", a__max="150000 100000", a__b__max="400000 100000")
    assert quota(root) == 1.5


def test_a_container_s_limit_is_found_where_its_path_is_the_host_s(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/system.slice/docker-1.scope\n", max="200000 100000")
    assert quota(root) == 2


def test_version_1_is_understood(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        "4:memory:/a\n2:cpu,cpuacct:/a\n0::/\n",
        cpu__quota="-1",
        cpu__period="100000",
        cpu__a__quota="300000",
        cpu__a__period="100000",
    )
    assert quota(root) == 3


@pytest.mark.parametrize("text", ["", "max", "1 0", "x y", "1 2 3"])
def test_an_unreadable_limit_is_none(tmp_path: Path, text: str) -> None:
    assert quota(machine(tmp_path, "0::/\nnonsense\n", max=text)) is None


def test_no_cgroups_no_limit(tmp_path: Path) -> None:
    assert quota(tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="affinity is Linux's")
def test_this_machine_s_cores_are_those_of_the_affinity() -> None:
    cores = find_cores()
    assert 1 <= cores.usable <= len(os.sched_getaffinity(0))
    assert set(cores.pins) <= os.sched_getaffinity(0)
