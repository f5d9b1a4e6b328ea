"""What frames leave behind: objects that the garbage collector has to look through, ever again.

A session that leaves none costs no collections, however long the call. Counted in a session that does all it
does in a call: marks are returned, the model's words and turns come as often as the load's do.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Final

from bench.figures import PRODUCT, Figure
from bench.load import callers, models, signal
from bench.micro import product

SID: Final = "MZ" + "0" * 32
FRAMES: Final = 10_000
TIMES: Final = 3
WARM_UP: Final = 1_000  # frames: lists and dictionaries reach the size they keep


def measure(frames: int = FRAMES) -> list[Figure]:
    """Objects per frame, each way."""
    session = product.Session(
        SID, callers.media(SID) % (2, 1, 0, signal.ulaw_frame(1)), models.speech(signal.pcm_chunk(1))
    )
    values = {
        way: _left_by(frame, frames)
        for way, frame in (("up", session.lived_up), ("down", session.lived_down))
    }
    return [
        Figure(f"objects_per_frame_{way}", f"objects left per frame {arrow}", "", {PRODUCT: values[way]})
        for way, arrow in (("up", "caller → model"), ("down", "model → caller"))
    ]


def _left_by(frame: Callable[[], object], frames: int) -> float:
    """Tracked objects there are more of after `frames` calls, per call: the least of a few times, since what
    is left once is a cache being filled. The collector meanwhile rests, so that cycles count as left behind.
    """
    for _ in range(WARM_UP):
        frame()
    gc.collect()
    gc.disable()
    try:
        left = []
        for _ in range(TIMES):
            before = len(gc.get_objects())
            for _ in range(frames):
                frame()
            left.append(len(gc.get_objects()) - before)
    finally:
        gc.enable()
    return max(min(left), 0) / frames
