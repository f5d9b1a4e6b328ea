"""What the stack must know of one process to start it, see that it serves, and stop it."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Account:
    """A user to run a server as, because it refuses to run as root."""

    name: str
    uid: int
    gid: int


class NotYet(Exception):
    """A probe's answer: the process does not serve yet."""


def nothing() -> Iterable[Sequence[str]]:
    """No preparation."""
    return ()


@dataclass(frozen=True)
class Component:
    """One process of the stack.

    after: components that must be ready before this one starts.
    uses: components this one talks to; it is stopped before they are.
    prepare: what must be done before the process starts, such as making a data folder; yields programs to
        run, each to its end, with the component's environment, user and log.
    probe: returns once the process serves; raising NotYet asks to be called again. None: the process itself
        tells, through VOICEPLANE_READY_FD.
    one_shot: the process does its work and ends with status 0; it is ready when it has.
    address: shown to people.
    notes: what stack.json says besides.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    after: frozenset[str] = frozenset()
    uses: frozenset[str] = frozenset()
    prepare: Callable[[], Iterable[Sequence[str]]] = nothing
    probe: Callable[[], Awaitable[None]] | None = None
    one_shot: bool = False
    cwd: Path | None = None
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace_s: float = 10.0
    # A media node's first start on a machine compiles its kernels, which may take most of a minute.
    ready_timeout_s: float = 120.0
    address: str = ""
    notes: Mapping[str, str] = field(default_factory=dict)
