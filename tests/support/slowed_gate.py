"""`python -m tests.support.slowed_gate MICROSECONDS …`: the bench's command line, on a product whose codec
takes that much longer for each of the caller's frames. What follows are the command's own arguments.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from bench.cli.app import app
from media_plane.dsp.codec import KernelUplink


def slowed(frame: Callable[..., int], delay_us: int) -> Callable[..., int]:
    """`frame`, after a wait that keeps the processor busy, as slow code would."""
    delay_ns = delay_us * 1000

    def waiting(*arguments: object) -> int:
        until = time.perf_counter_ns() + delay_ns
        while time.perf_counter_ns() < until:
            pass
        return frame(*arguments)

    return waiting


def plant(delay_us: int) -> None:
    """Slow the product's codec down towards the model."""
    expect = KernelUplink.expect

    def expect_slowly(self: KernelUplink, before: bytes, after: bytes) -> None:
        expect(self, before, after)
        self.encode = slowed(self.encode, delay_us)

    KernelUplink.expect = expect_slowly  # type: ignore[method-assign]


if __name__ == "__main__":
    if (delay := int(sys.argv[1])) > 0:
        plant(delay)
    app(sys.argv[2:], prog_name="voiceplane bench")
