"""Shows a stack coming up and going down: a table redrawn in place on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from control_plane.devstack.state import Phase, State

STYLES = {
    Phase.WAITING: "dim",
    Phase.STARTING: "cyan",
    Phase.READY: "green",
    Phase.DONE: "green",
    Phase.FAILED: "bold red",
    Phase.STOPPING: "yellow",
    Phase.STOPPED: "dim",
    Phase.KILLED: "red",
}
MOVING = (Phase.STARTING, Phase.STOPPING)
SETTLED = (Phase.READY, Phase.DONE, Phase.STOPPED, Phase.KILLED)


class PlainProgress:
    """One line for each change that a reader of a log wants to see. An Observer."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def state(self, state: State) -> None:
        if state.phase in (Phase.READY, Phase.DONE):
            line = f"{state.name:<11} {state.phase:<6} {state.ready_s:5.2f} s  {state.address}"
        elif state.phase in (Phase.FAILED, Phase.STOPPED, Phase.KILLED):
            line = f"{state.name:<11} {state.phase}"
        else:
            return
        self._console.print(line.rstrip(), highlight=False, markup=False, soft_wrap=True)

    def notice(self, sentence: str) -> None:
        self._console.print(f"note: {sentence}", highlight=False, markup=False, soft_wrap=True)


class LiveProgress:
    """A table of all components, redrawn as long as something moves. An Observer and a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._states: dict[str, State] = {}
        self._since: dict[str, float] = {}
        self._spinner = Spinner("dots")
        self._live: Live | None = None

    def __enter__(self) -> LiveProgress:
        return self

    def __exit__(self, *exc: object) -> None:
        self._rest()

    def state(self, state: State) -> None:
        self._states[state.name] = state
        self._since[state.name] = time.monotonic()
        if all(known.phase in SETTLED for known in self._states.values()):
            self._rest()  # a stack that only runs must not cost anything
        elif self._live is None:
            self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=10)
            self._live.start()

    def notice(self, sentence: str) -> None:
        self._console.print(Text(sentence, "yellow"))

    def _rest(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _table(self) -> Table:
        table = Table(box=None, show_header=False, pad_edge=False)
        for state in tuple(self._states.values()):
            mark = self._spinner.render(time.monotonic()) if state.phase in MOVING else Text(" ")
            table.add_row(
                mark,
                Text(state.name, "bold"),
                Text(state.phase, STYLES[state.phase]),
                Text(self._seconds(state), justify="right"),
                Text(state.address, "dim"),
            )
        return table

    def _seconds(self, state: State) -> str:
        if state.phase in MOVING:
            return f"{time.monotonic() - self._since[state.name]:.1f} s"
        return f"{state.ready_s:.2f} s" if state.ready_s else ""


def progress(console: Console) -> PlainProgress | LiveProgress:
    """The display that suits the console."""
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)


def print_endpoints(console: Console, endpoints: Mapping[str, str]) -> None:
    """Where a person looks first."""
    for label, name, path in (
        ("API", "rest", "/docs"),
        ("Temporal UI", "temporal_ui", ""),
        ("database", "postgres", ""),
    ):
        if name in endpoints:
            console.print(f"  {label:<12} {endpoints[name]}{path}", highlight=False, soft_wrap=True)
