"""Names what keeps the loop: a thread that looks, while the pulse is missing, where the loop's thread is."""

from __future__ import annotations

import sys
import threading
import traceback
from time import monotonic_ns
from types import FrameType

import structlog

from media_plane.loop.beat import BEAT_S, Beat

log = structlog.get_logger(__name__)

STALL_S = 0.1  # without a beat beyond its time: five frames of every call
_LOOK_S = 0.1  # every look takes the GIL from the loop for a moment
_DEPTH = 6  # innermost calls told


class Watchdog:
    """`stalls`: times the loop was kept for STALL_S or longer, each logged once with the place."""

    def __init__(self, beat: Beat) -> None:
        self.stalls = 0
        self._beat = beat
        self._watched = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Watch the calling thread's loop, whose `beat` has been started."""
        self._watched = threading.get_ident()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        told_ns = 0
        while not self._stop.wait(_LOOK_S):
            last_ns = self._beat.last_ns
            kept_s = (monotonic_ns() - last_ns) / 1e9 - BEAT_S
            if kept_s < STALL_S or last_ns == told_ns:
                continue
            frame = sys._current_frames().get(self._watched)
            told_ns = last_ns
            self.stalls += 1
            log.warning("the loop is kept", for_ms=round(kept_s * 1000), at=_place(frame))


def _place(frame: FrameType | None) -> list[str]:
    """Innermost call last, as `file:line function`."""
    return [
        f"{call.filename.rpartition('site-packages/')[2]}:{call.lineno} {call.name}"
        for call in traceback.extract_stack(frame)[-_DEPTH:]
    ]
