"""What is known of a running stack: each component's state, and stack.json, which lists everything."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol


class Phase(StrEnum):
    """Where a component is."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"  # a one-shot's work
    FAILED = "failed"
    STOPPING = "stopping"
    STOPPED = "stopped"
    KILLED = "killed"  # it did not stop in time


@dataclass(frozen=True)
class State:
    """One component now; `ready_s` counts from its own start."""

    name: str
    phase: Phase
    address: str = ""
    pid: int = 0
    log: Path | None = None
    ready_s: float = 0.0


class Observer(Protocol):
    """Is told what happens to a stack, as it happens."""

    def state(self, state: State) -> None:
        """A component's state has changed."""

    def notice(self, sentence: str) -> None:
        """Something the person at the terminal should know."""


class Unobserved:
    """Nobody is told."""

    def state(self, state: State) -> None: ...
    def notice(self, sentence: str) -> None: ...


def write_state_file(
    path: Path,
    *,
    data_dir: Path,
    started_at: datetime,
    env: Mapping[str, str],
    endpoints: Mapping[str, str],
    states: Iterable[State],
    notes: Mapping[str, Mapping[str, str]],
) -> None:
    """Write stack.json at once, readable by its owner alone: it holds credentials."""
    content = {
        "pid": os.getpid(),
        "data_dir": str(data_dir),
        "started_at": started_at.isoformat(),
        "env": dict(env),
        "endpoints": dict(endpoints),
        "processes": {
            state.name: {
                "pid": state.pid,
                "log": str(state.log),
                "ready_s": round(state.ready_s, 3),
                **notes.get(state.name, {}),
            }
            for state in states
            if state.phase is Phase.READY
        },
    }
    unfinished = path.with_suffix(".json.new")
    unfinished.unlink(missing_ok=True)
    with open(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
    unfinished.replace(path)
