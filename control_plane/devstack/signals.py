"""Signals that end a stack: the first stops everything in order, a second kills what is still stopping."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from control_plane.devstack.stack import Stack

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# One request may arrive twice: `make` passes on what the terminal or `timeout` has sent to the whole group.
ECHO_S = 0.5


@contextmanager
def ended_by_signals(running: asyncio.Task[Any], stack: Stack) -> Iterator[None]:
    """Within the block a signal cancels `running`, which holds the stack open."""
    loop = asyncio.get_running_loop()
    first_at = float("inf")

    def on_signal() -> None:
        nonlocal first_at
        if loop.time() < first_at:
            first_at = loop.time()
            if not stack.stopping:  # for a child's death, say
                running.cancel()
        elif loop.time() > first_at + ECHO_S:
            stack.hurry()

    for signum in ENDING_SIGNALS:
        loop.add_signal_handler(signum, on_signal)
    try:
        yield
    finally:
        for signum in ENDING_SIGNALS:
            loop.remove_signal_handler(signum)
