"""Signals that end a stack: the first stops everything in order, a second kills what is still stopping."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from control_plane.devstack.stack import Stack

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def ended_by_signals(running: asyncio.Future[Any], stack: Stack) -> Iterator[None]:
    """Within the block a signal cancels `running`, which holds the stack open."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stack.stopping or (isinstance(running, asyncio.Task) and running.cancelling()):
            stack.hurry()
        else:
            running.cancel()

    for signum in ENDING_SIGNALS:
        loop.add_signal_handler(signum, on_signal)
    try:
        yield
    finally:
        for signum in ENDING_SIGNALS:
            loop.remove_signal_handler(signum)
