"""A stack of small scripts, for what supervision does with processes that behave in every way they can."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from control_plane.devstack.component import Component
from control_plane.devstack.datadir import DataDir
from control_plane.devstack.options import StackOptions
from control_plane.devstack.plan import Plan
from control_plane.devstack.ports import PortAllocator
from control_plane.devstack.stack import Stack
from control_plane.devstack.state import Observer

# Each says it is ready, in its own words, and then …
READY = "echo '{\"ready\": true}' >&$VOICEPLANE_READY_FD; "
SERVES = READY + "exec sleep 600"
STUBBORN = "trap '' TERM; " + READY + "while :; do sleep 0.1; done"
SLOW_TO_STOP = "trap 'sleep 0.2; exit 0' TERM; " + READY + "while :; do sleep 0.05; done"
HAS_CHILDREN = READY + "sleep 600 & sleep 600 & wait"
NEVER_READY = "exec sleep 600"
DIES_AT_ONCE = "echo first words; echo last words >&2; exit 3"


def stub(name: str, script: str, **changes: Any) -> Component:
    """A component that is a shell script; its log is filled in by the stack."""
    # Not every /bin/sh takes a two-digit descriptor after `>&`; bash does.
    return Component(name, ["bash", "-c", script], dict(os.environ), Path(os.devnull), **changes)


def stub_stack(folder: Path, *components: Component, observer: Observer | None = None) -> Stack:
    def planner(options: StackOptions, data_dir: DataDir, ports: PortAllocator) -> Plan:
        logged = [dataclasses.replace(c, log=data_dir.log(c.name)) for c in components]
        return Plan(logged, {}, {}, {}, [])

    return Stack(StackOptions(data_dir=folder), observer=observer, planner=planner)
