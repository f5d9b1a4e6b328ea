"""The supervisor over stand-ins for workers: shell scripts that start badly, end badly, or do not end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from media_plane.workers.plan import Worker
from media_plane.workers.supervisor import Supervisor
from tests.support.eventually import eventually

READY = """echo '{"ready": true, "media_ws": "ws://x"}' > /dev/fd/$VOICEPLANE_READY_FD; """
SERVE = "exec sleep 600"
ORDERLY = "trap 'exit 0' TERM; while :; do sleep 0.01; done"

Logs = list[EventDict]


def supervisor(*scripts: str, drain_s: float = 60.0, after_drain_s: float = 15.0) -> Supervisor:
    """One worker for each script."""

    def command(worker: Worker, lifeline_fd: int) -> Sequence[str]:
        return ["/bin/sh", "-c", scripts[worker.index], "sh", str(lifeline_fd)]

    plan = [Worker(index, f"w-{index}", None, {}) for index in range(len(scripts))]
    return Supervisor(plan, drain_s=drain_s, after_drain_s=after_drain_s, command=command)


def seen(logs: Logs, event: str, **fields: object) -> Callable[[], Logs]:
    def find() -> Logs:
        return [line for line in logs if line["event"] == event and fields.items() <= line.items()]

    return find


async def test_a_worker_that_can_not_be_started_ends_everything_with_status_1() -> None:
    with capture_logs() as logs:
        async with asyncio.timeout(20):
            assert await supervisor(READY + ORDERLY, "exit 7").run() == 1
    deaths = seen(logs, "worker died")()
    assert [(line["node_id"], line["ended"], line["served_s"]) for line in deaths] == [
        ("w-1", "status 7", None)
    ] * 3
    assert seen(logs, "worker can't be started", node_id="w-1", ended="status 7")()


async def test_a_program_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    plan = [Worker(0, "w-0", None, {})]
    missing = str(tmp_path / "missing")
    with capture_logs() as logs:
        async with asyncio.timeout(20):
            assert await Supervisor(plan, drain_s=0, command=lambda worker, fd: [missing]).run() == 1
    (line,) = seen(logs, "worker can't be started")()
    assert missing in line["ended"]


async def test_the_others_wait_for_the_first() -> None:
    with capture_logs() as logs:
        running = supervisor("exit 7", READY + ORDERLY)
        async with asyncio.timeout(20):
            assert await running.run() == 1
    assert not seen(logs, "worker serves")()


async def test_a_worker_that_served_is_brought_back_however_often_it_fails_to_start(tmp_path: Path) -> None:
    """Once everything served, the others' calls are worth more than a tidy end."""
    served = tmp_path / "served"
    script = f"if [ -e {served} ]; then exit 3; fi; touch {served}; {READY} exit 4"
    with capture_logs() as logs:
        running = supervisor(READY + ORDERLY, script)
        ending = asyncio.create_task(running.run())
        await eventually(seen(logs, "worker died", restarts=4), 20)
        assert not ending.done()
        running.stop(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await ending == 0
    assert [line["ended"] for line in seen(logs, "worker died")()] == ["status 4", *["status 3"] * 3]
    assert [line["again_in_s"] for line in seen(logs, "worker died")()] == [0.5, 1, 2, 4]


async def test_the_status_is_1_when_a_worker_does_not_end_in_order() -> None:
    with capture_logs() as logs:
        running = supervisor(READY + ORDERLY, READY + SERVE)
        ending = asyncio.create_task(running.run())
        await eventually(seen(logs, "serving"))
        running.stop(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await ending == 1
    assert seen(logs, "worker did not end in order", node_id="w-1", ended="SIGTERM")()


async def test_a_worker_that_is_still_starting_has_nothing_to_finish() -> None:
    with capture_logs() as logs:
        running = supervisor(READY + ORDERLY, SERVE)
        ending = asyncio.create_task(running.run())
        await eventually(seen(logs, "worker serves"))
        running.stop(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await ending == 0


@pytest.mark.parametrize("second_signal", [False, True])
async def test_a_worker_that_does_not_end_is_killed(second_signal: bool) -> None:
    deaf = "trap '' TERM; " + READY + "while :; do sleep 0.01; done"
    with capture_logs() as logs:
        running = supervisor(deaf, drain_s=60.0 if second_signal else 0.1, after_drain_s=0.1)
        ending = asyncio.create_task(running.run())
        await eventually(seen(logs, "serving"))
        running.stop(signal.SIGTERM)
        if second_signal:
            running.stop(signal.SIGINT)
        async with asyncio.timeout(20):
            assert await ending == (128 + signal.SIGINT if second_signal else 1)
    assert seen(logs, "worker did not end in order", ended="SIGKILL")()


async def test_no_worker_holds_the_lifeline_s_other_end(tmp_path: Path) -> None:
    """Else none would notice that the supervisor is gone."""
    listing = tmp_path / "listing"
    script = f"""ls -l /proc/$$/fd > {listing}; echo "fd $1" >> {listing}; {READY} {ORDERLY}"""
    with capture_logs() as logs:
        running = supervisor(script)
        ending = asyncio.create_task(running.run())
        await eventually(seen(logs, "serving"))
        running.stop(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await ending == 0
    *lines, last = listing.read_text().splitlines()
    ends = {line.split()[-3]: (line.split()[0], line.split()[-1]) for line in lines if " -> " in line}
    mode, pipe = ends[last.removeprefix("fd ")]
    assert mode.startswith("lr-")
    assert [fd for fd, (_, target) in ends.items() if target == pipe] == [last.removeprefix("fd ")]
