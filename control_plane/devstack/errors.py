"""Why a stack does not start or does not stay up; each message is for the person at the terminal."""

from __future__ import annotations

from pathlib import Path


class StackError(Exception):
    """Base of everything the dev stack raises on purpose."""


class DataDirBusy(StackError):
    """Another stack runs in this data folder."""

    def __init__(self, path: Path, pid: int | None) -> None:
        who = f"pid {pid}" if pid else "another process"
        super().__init__(f"a stack is already running in {path} ({who}); stop it first, or use --data-dir")
        self.pid = pid


class DataDirNotOurs(StackError):
    """The folder holds things that no stack of ours made."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path} is not empty and was not made by voiceplane; name another folder with --data-dir"
        )


class MissingServer(StackError):
    """A server's program is not installed."""


class ChildFailed(StackError):
    """A process of the stack ended, or was not ready in time."""

    def __init__(self, name: str, what: str, log: Path, last_lines: list[str]) -> None:
        super().__init__(f"{name} {what}; its log: {log}")
        self.name = name
        self.log = log
        self.last_lines = last_lines
