"""What a stack does with children that serve, die, hang, resist or have children of their own."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.devstack.errors import ChildFailed, StackError
from control_plane.devstack.state import Phase, State
from tests.support.processes import family, runs, until, until_gone
from tests.support.stub_stack import (
    DIES_AT_ONCE,
    HAS_CHILDREN,
    NEVER_READY,
    SERVES,
    SLOW_TO_STOP,
    STUBBORN,
    stub,
    stub_stack,
)


class Recorder:
    """Keeps what a stack tells."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Phase]] = []
        self.notices: list[str] = []

    def state(self, state: State) -> None:
        self.told.append((state.name, state.phase))

    def notice(self, sentence: str) -> None:
        self.notices.append(sentence)

    def order(self, phase: Phase) -> list[str]:
        return [name for name, told in self.told if told is phase]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    return Recorder()


async def test_what_comes_after_another_waits_until_that_is_ready(folder: Path, recorder: Recorder) -> None:
    first = stub("first", "sleep 0.3;" + SERVES)
    second = stub("second", SERVES, after=frozenset({"first"}))
    async with stub_stack(folder, second, first, observer=recorder):
        told = recorder.told
        assert told.index(("first", Phase.READY)) < told.index(("second", Phase.STARTING))


async def test_users_stop_before_what_they_use(folder: Path, recorder: Recorder) -> None:
    database = stub("database", SERVES)
    media = stub("media", SERVES, uses=frozenset({"database"}))
    worker = stub("worker", SLOW_TO_STOP, uses=frozenset({"media"}))
    async with stub_stack(folder, database, media, worker, observer=recorder):
        pass
    assert recorder.order(Phase.STOPPED) == ["worker", "media", "database"]


async def test_a_dead_child_is_named_with_its_last_words(folder: Path, recorder: Recorder) -> None:
    stack = stub_stack(folder, stub("steady", SERVES), stub("weak", DIES_AT_ONCE), observer=recorder)
    with pytest.raises(ChildFailed, match="weak ended with status 3") as failure:
        async with stack:
            pass
    assert failure.value.last_lines == ["first words", "last words"]
    assert recorder.order(Phase.FAILED) == ["weak"]
    assert not runs(stack.states["steady"].pid)


async def test_a_child_that_is_killed_later_ends_the_stack(folder: Path) -> None:
    with pytest.raises(ChildFailed, match="weak was ended by signal 9"):
        async with stub_stack(folder, stub("steady", SERVES), stub("weak", SERVES)) as stack:
            os.kill(stack.states["weak"].pid, signal.SIGKILL)
            await stack.died()


async def test_a_reaper_that_is_killed_ends_the_stack(folder: Path) -> None:
    before = family(os.getpid())
    with pytest.raises(ChildFailed, match="reaper was ended by signal 9"):
        async with stub_stack(folder, stub("steady", SERVES)) as stack:
            (reaper,) = family(os.getpid()) - before - {stack.states["steady"].pid}
            os.kill(reaper, signal.SIGKILL)
            await stack.died()
    await until_gone([stack.states["steady"].pid])


async def test_a_child_that_is_never_ready_runs_out_of_time(folder: Path) -> None:
    mute = stub("mute", NEVER_READY, ready_timeout_s=0.3)
    with pytest.raises(ChildFailed, match=r"mute was not ready within 0 s"):
        async with stub_stack(folder, mute):
            pass


async def test_a_child_that_closes_the_pipe_without_a_word_is_not_ready(folder: Path) -> None:
    shy = stub("shy", "exec sleep 600 {VOICEPLANE_READY_FD}>&-", ready_timeout_s=0.5)
    with pytest.raises(ChildFailed, match="shy was not ready"):
        async with stub_stack(folder, shy):
            pass


async def test_a_child_that_does_not_go_is_killed(folder: Path, recorder: Recorder) -> None:
    stubborn = stub("stubborn", STUBBORN, stop_grace_s=0.2)
    async with stub_stack(folder, stubborn, observer=recorder):
        pass
    assert recorder.order(Phase.KILLED) == ["stubborn"]


async def test_hurry_cuts_the_grace_short(folder: Path, recorder: Recorder) -> None:
    stack = stub_stack(folder, stub("stubborn", STUBBORN, stop_grace_s=600.0), observer=recorder)
    async with stack:
        asyncio.get_running_loop().call_later(0.2, stack.hurry)
    assert recorder.order(Phase.KILLED) == ["stubborn"]


async def test_what_a_child_started_goes_with_it(folder: Path) -> None:
    async with stub_stack(folder, stub("parent", HAS_CHILDREN)) as stack:
        parent = stack.states["parent"].pid
        await until(lambda: len(family(parent)) == 3, "the children have not started")
        pids = family(parent)
    await until_gone(pids)


async def test_a_one_shot_is_done_when_it_has_ended_well(folder: Path, recorder: Recorder) -> None:
    async with stub_stack(folder, stub("once", "true", one_shot=True), observer=recorder):
        assert recorder.order(Phase.DONE) == ["once"]


async def test_a_one_shot_that_fails_ends_the_stack(folder: Path) -> None:
    with pytest.raises(ChildFailed, match="once failed: bash ended with status 4"):
        async with stub_stack(folder, stub("once", "exit 4", one_shot=True)):
            pass


async def test_preparations_run_first_and_one_by_one(folder: Path) -> None:
    log = folder / "logs" / "careful.log"

    def prepare() -> Iterator[list[str]]:
        yield ["/bin/sh", "-c", "sleep 0.1; echo one"]
        assert log.read_text() == "one\n"
        yield ["/bin/sh", "-c", "echo two"]

    async with stub_stack(folder, stub("careful", "echo three;" + SERVES, prepare=prepare)):
        assert log.read_text() == "one\ntwo\nthree\n"


async def test_a_preparation_that_cannot_be_made_ends_the_start(folder: Path) -> None:
    def prepare() -> Iterator[list[str]]:
        raise StackError("no room")
        yield []

    with pytest.raises(StackError, match="no room"):
        async with stub_stack(folder, stub("steady", SERVES), stub("careful", SERVES, prepare=prepare)):
            pass


async def test_being_cancelled_while_starting_leaves_nothing(folder: Path) -> None:
    stack = stub_stack(folder, stub("mute", NEVER_READY), stub("parent", HAS_CHILDREN))
    before = family(os.getpid())
    starting = asyncio.ensure_future(stack.__aenter__())
    await until(
        lambda: stack.states.get("parent") is not None and stack.states["parent"].phase is Phase.READY,
        "parent is not ready",
    )
    pids = family(os.getpid()) - before
    assert len(pids) >= 3
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await until_gone(pids)


async def test_logs_of_the_run_before_are_kept_once(folder: Path) -> None:
    for word in ("one", "two", "three"):
        async with stub_stack(folder, stub("talker", f"echo {word};" + SERVES)):
            pass
    assert (folder / "logs" / "talker.log").read_text() == "three\n"
    assert (folder / "logs" / "talker.log.1").read_text() == "two\n"
