"""The small form of bench.control.dial_twice: real workers, killed, and a Twilio that never answers."""

from __future__ import annotations

import shutil

from bench.control.dial_twice import Trial, run
from tests.support.stack import temporary_folder


async def test_calls_that_twilio_takes_without_an_answer_ring_once_though_workers_die() -> None:
    folder = temporary_folder()
    try:
        verdict = await run(Trial(calls=8, cps=10, kill_every_s=1.5, hang_ms=2500), folder / "data")
    finally:
        shutil.rmtree(folder)

    assert verdict.kills > 0
    assert verdict.rings == {1: 8}
    assert (verdict.unfinished, verdict.wrong_sid) == (0, 0)
