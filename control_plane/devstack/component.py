"""What the stack must know of one process to start it, see that it serves, and stop it."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Account:
    """A user to run a server as, because it refuses to run as root."""

    name: str
    uid: int
    gid: int


class Runner(Protocol):
    """Runs a program to its end, as a child of the stack like any other."""

    async def run(
        self, component: Component, argv: Sequence[str], *, account: Account | None = None
    ) -> None: ...


@dataclass(frozen=True)
class Component:
    """One process of the stack.

    after: components that must be ready before this one starts.
    uses: components this one talks to; it is stopped before they are.
    prepare: what must be done before the process starts, such as making a data folder.
    probe: returns once the process serves; raising NotYet asks to be called again. None: the process itself
        tells, through VOICEPLANE_READY_FD.
    one_shot: the process does its work and ends with status 0; it is ready when it has.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    after: frozenset[str] = frozenset()
    uses: frozenset[str] = frozenset()
    prepare: Callable[[Component, Runner], Awaitable[None]] | None = None
    probe: Callable[[], Awaitable[None]] | None = None
    one_shot: bool = False
    cwd: Path | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 10.0
    ready_timeout_s: float = 60.0
    address: str = ""  # shown to people once it is ready
    notes: Mapping[str, str] = field(default_factory=dict)  # what stack.json should say besides


class NotYet(Exception):
    """The process does not serve yet."""
