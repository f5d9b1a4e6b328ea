"""The reaper: what it learns from its pipe, and what it does when the pipe ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.devstack import reaper
from tests.support.processes import until, until_gone

STUBBORN = "trap '' TERM; echo up; while :; do sleep 0.1; done"
OBEDIENT = "echo up; exec sleep 60"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def start(started: list[subprocess.Popen[bytes]], script: str) -> int:
    process = subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True)
    started.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    return process.pid


def test_it_knows_who_came_and_who_went() -> None:
    groups: dict[int, signal.Signals] = {}
    reaper.follow(["+ 10 TERM\n", "+ 11 INT\n", "- 10\n", "- 99\n"], groups)
    assert groups == {11: signal.SIGINT}


def test_a_line_cut_short_is_no_news() -> None:
    groups: dict[int, signal.Signals] = {}
    reaper.follow(["+ 10 TERM\n", "+ 1"], groups)
    assert groups == {10: signal.SIGTERM}


def test_a_group_is_alive_until_its_last_process_has_gone(started: list[subprocess.Popen[bytes]]) -> None:
    pid = start(started, "echo up; sleep 60 & exit 0")
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert reaper.living([pid]) == {pid}
    os.killpg(pid, signal.SIGKILL)


async def test_a_dead_process_nobody_waited_for_is_not_alive(started: list[subprocess.Popen[bytes]]) -> None:
    pid = start(started, OBEDIENT)
    os.kill(pid, signal.SIGKILL)
    await until_gone([pid])
    assert os.path.exists(f"/proc/{pid}") or sys.platform != "linux"
    assert reaper.living([pid]) == set()


def test_each_is_asked_with_its_own_signal(started: list[subprocess.Popen[bytes]]) -> None:
    asked = start(started, "trap 'exit 7' INT; trap '' TERM; echo up; while :; do sleep 0.05; done")
    reaper.end({asked: signal.SIGINT}, grace_s=20.0)
    assert started[0].wait() == 7


def test_who_does_not_go_in_time_is_killed(started: list[subprocess.Popen[bytes]]) -> None:
    stubborn = start(started, STUBBORN)
    reaper.end({stubborn: signal.SIGTERM}, grace_s=0.1)
    assert started[0].wait() == -signal.SIGKILL


def test_nobody_waits_out_the_grace_when_all_have_gone(started: list[subprocess.Popen[bytes]]) -> None:
    began = time.monotonic()
    reaper.end({start(started, OBEDIENT): signal.SIGTERM}, grace_s=60.0)
    assert time.monotonic() - began < 30.0


async def test_the_end_of_its_pipe_ends_everybody(started: list[subprocess.Popen[bytes]]) -> None:
    pids = [start(started, OBEDIENT), start(started, STUBBORN)]
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", reaper.__file__, "0.2"], stdin=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    process.stdin.write("".join(f"+ {pid} TERM\n" for pid in pids).encode())
    process.stdin.flush()
    process.stdin.close()
    await until_gone(pids)
    assert process.wait() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc which signals are ignored")
async def test_what_ends_others_does_not_end_it() -> None:
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", reaper.__file__, "0.2"], stdin=subprocess.PIPE, start_new_session=True
    )
    assert process.stdin is not None
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        await until(lambda signum=signum: ignores(process.pid, signum), f"{signum!r} is not ignored")  # type: ignore[misc]
    process.stdin.close()
    assert process.wait() == 0


def ignores(pid: int, signum: signal.Signals) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(mask, 16) >> (signum - 1) & 1)
