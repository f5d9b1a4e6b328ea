"""`voiceplane up`: a stack in the foreground, until a signal or a child's death ends it."""

from __future__ import annotations

import asyncio

from rich.console import Console

from control_plane.devstack.errors import ChildFailed, StackError
from control_plane.devstack.options import StackOptions
from control_plane.devstack.progress import print_endpoints, progress
from control_plane.devstack.signals import ended_by_signals
from control_plane.devstack.stack import Stack


async def up(options: StackOptions, console: Console) -> int:
    """Run a stack; the exit status: 0 after a signal, 1 when it could not start or a child died.

    The first signal stops everything in order; a second one kills what is still stopping.
    """
    with progress(console) as display:
        stack = Stack(options, observer=display)
        running = asyncio.create_task(_run(stack, console))
        try:
            with ended_by_signals(running, stack):
                await running
        except asyncio.CancelledError:
            return 0
        except (StackError, OSError) as error:
            failure = error
    print_failure(console, failure)
    return 1


async def _run(stack: Stack, console: Console) -> None:
    async with stack:
        print_endpoints(console, stack.endpoints)
        console.print("ready; Ctrl-C stops everything")
        await stack.died()


def print_failure(console: Console, failure: Exception) -> None:
    """Say what went wrong; of a child, its last words too."""
    if isinstance(failure, ChildFailed):
        for line in failure.last_lines:
            console.print(f"  {failure.name} | {line}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"error: {failure}", style="bold red", highlight=False, markup=False, soft_wrap=True)
