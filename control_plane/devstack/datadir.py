"""The stack's data folder: ours alone, used by one stack at a time, wiped only when we made it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

from control_plane.devstack.errors import DataDirBusy, DataDirNotOurs

MARKER = ".voiceplane-data"
LOCK = "lock"
CONTENT = ("postgres", "postgres.new", "valkey", "temporal.db", "temporal.db-shm", "temporal.db-wal")
RECORDS = ("logs", "recordings", "stack.json")


class DataDir:
    """The folder, locked from `open` until every process that inherited the lock has ended."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.lock_fd = -1
        self.is_new = False  # made by `open`

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def state_file(self) -> Path:
        return self.path / "stack.json"

    def open(self, *, wait_s: float) -> None:
        """Make the folder, or take one that we made before, and lock it.

        A stack whose launcher was killed is still being ended by its reaper; `wait_s` gives it that time.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        marker = self.path / MARKER
        if not marker.exists():
            if any(self.path.iterdir()):
                raise DataDirNotOurs(self.path)
            self.is_new = True
            marker.write_text("Data of voiceplane's dev stack; `voiceplane up --fresh` deletes it.\n")
        self._lock(wait_s)
        for folder in (self.logs, self.path / "recordings"):
            folder.mkdir(exist_ok=True)

    def wipe(self) -> None:
        """Delete what stacks left in the folder, and nothing else. Only while it is open."""
        for name in (*CONTENT, *RECORDS):
            entry = self.path / name
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink(missing_ok=True)
        for folder in (self.logs, self.path / "recordings"):
            folder.mkdir()

    def in_use(self) -> bool:
        """Whether a stack runs here, or its processes are still being ended."""
        try:
            fd = os.open(self.path / LOCK, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def read_state(self) -> dict[str, Any] | None:
        """stack.json of the stack that runs here; None when none does, or it is not ready yet."""
        if not self.in_use():
            return None
        try:
            content: dict[str, Any] = json.loads(self.state_file.read_text())
        except FileNotFoundError:
            return None
        return content

    def close(self) -> None:
        if self.lock_fd >= 0:
            os.close(self.lock_fd)
            self.lock_fd = -1

    def log(self, name: str) -> Path:
        """Where a component's log is."""
        return self.logs / f"{name}.log"

    def new_log(self, name: str) -> Path:
        """An empty log for this run; the last run's is kept beside it as `.1`."""
        log = self.log(name)
        with contextlib.suppress(FileNotFoundError):
            log.replace(log.with_suffix(".log.1"))
        log.touch()
        return log

    def _lock(self, wait_s: float) -> None:
        fd = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                holder = os.pread(fd, 32, 0).decode().strip()
                pid = int(holder) if holder.isdigit() else None
                if (pid is not None and _runs(pid)) or time.monotonic() > deadline:
                    os.close(fd)
                    raise DataDirBusy(self.path, pid) from None
                time.sleep(0.05)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        self.lock_fd = fd


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
