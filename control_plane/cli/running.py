"""`voiceplane status` and `voiceplane down`: a stack that runs already, found by its stack.json."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from control_plane.devstack.datadir import DataDir

STOP_WAIT_S = 60.0


def show(data_dir: Path, *, as_json: bool) -> int:
    """Print what runs; the exit status: 0 all of it, 1 not all of it, 3 nothing."""
    found = DataDir(data_dir).read_state()
    if found is None:
        typer.echo(f"no stack runs in {data_dir.absolute()}", err=True)
        return 3
    processes: dict[str, Any] = found["processes"]
    for process in processes.values():
        process["alive"] = _alive(process["pid"])
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        _print_tables(found)
    return 0 if all(process["alive"] for process in processes.values()) else 1


def stop(data_dir: Path) -> int:
    """Ask the stack's launcher to stop it and wait; the exit status."""
    folder = DataDir(data_dir)
    found = folder.read_state()
    if found is None:
        typer.echo(f"no stack runs in {data_dir.absolute()}", err=True)
        return 3
    pid: int = found["pid"]
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_WAIT_S
    while folder.in_use():
        if time.monotonic() > deadline:
            typer.echo(f"pid {pid} did not stop within {STOP_WAIT_S:.0f} s", err=True)
            return 1
        time.sleep(0.05)
    return 0


def _print_tables(found: dict[str, Any]) -> None:
    console = Console()
    processes = Table("process", "pid", "ready after", "log", box=None, pad_edge=False)
    for name, process in found["processes"].items():
        state = f"{process['ready_s']:.2f} s" if process["alive"] else "[red]gone[/red]"
        processes.add_row(name, str(process["pid"]), state, process["log"])
    console.print(processes)
    addresses = Table(box=None, pad_edge=False, show_header=False)
    for name, address in found["endpoints"].items():
        addresses.add_row(name, address)
    console.print()
    console.print(addresses)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
