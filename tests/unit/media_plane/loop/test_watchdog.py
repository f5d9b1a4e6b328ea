from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from media_plane.loop.beat import Beat
from media_plane.loop.watchdog import Watchdog
from tests.support.eventually import eventually


def keep_the_loop(seconds: float) -> None:
    time.sleep(seconds)  # what must never be done on a loop, done on purpose


@pytest.fixture
async def watched() -> AsyncIterator[tuple[Beat, Watchdog]]:
    beat = Beat(lambda now_ns: None)
    watchdog = Watchdog(beat)
    beat.start()
    watchdog.start()
    yield beat, watchdog
    watchdog.stop()
    beat.stop()


async def test_what_keeps_the_loop_is_named_once_and_counted(watched: tuple[Beat, Watchdog]) -> None:
    beat, watchdog = watched
    await eventually(lambda: beat.lag.frames > 1)
    with capture_logs() as logs:
        keep_the_loop(0.6)
        await eventually(lambda: beat.misses > 0)
    assert watchdog.stalls == 1
    [told] = [entry for entry in logs if entry["event"] == "the loop is kept"]
    assert told["at"][-1].split()[-1] == "keep_the_loop"
    assert told["for_ms"] >= 100
    assert beat.lag.max_us > 200_000


async def test_every_beat_gives_a_moment_between_frames() -> None:
    moments: list[int] = []
    beat = Beat(moments.append)
    beat.start()
    await eventually(lambda: len(moments) >= 3)
    beat.stop()
    seen = len(moments)
    await asyncio.sleep(0.12)  # two beats' time, in which none may come
    assert len(moments) == seen
    assert beat.lag.frames == seen
