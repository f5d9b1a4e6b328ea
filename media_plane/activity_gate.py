"""The model's leg of a call whose turns the node finds itself: it lets through what the caller says, and
marks it.

With its own detection off, the service takes audio for the caller's turn only between `activityStart` and
`activityEnd`. So audio outside turns stays here, as whole messages, until it is known that it belongs to one
(the beginning of speech does, which was judged after it came) or to none. Each message goes up once or not at
all. Where the setup asks for turns that include all input, everything goes up as it comes.

`send` is on the frame's road and only puts by; what is heard in it is judged in `listen`, which the owner
calls soon after `wake`, between frames. Like the session this never awaits.
"""

from __future__ import annotations

from base64 import b64decode
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from picows import WSMsgType

from media_plane.call.activity import RATE, Activity, Change, Detection
from media_plane.dsp.resample import PcmResampler, Workspace
from media_plane.leg import Leg
from media_plane.wire import gemini

CHUNK = 512  # samples at 16 kHz that are judged at once: 32 ms
_CHUNK_BYTES = 2 * CHUNK
_MOST_UNHEARD = 2 * RATE * 10  # bytes: 10 s; more than ever waits before the model is ready
_QUIET = 60  # of 32124, mean absolute amplitude: about -55 dBFS, where no telephone speech is
_FORGET_AFTER = 16  # quiet pieces in a row, 0.5 s: the detector begins anew behind them
_WORK = Workspace()  # of all gates: they take turns


class Detector(Protocol):
    """Tells speech; remembers what it heard before."""

    def probability(self, pcm16k: NDArray[np.int16]) -> float:
        """That the next CHUNK samples are speech."""

    def reset(self) -> None:
        """What comes does not continue what was."""


@dataclass(slots=True)
class GateCounts:
    """Over all gates that were given it; only grow."""

    starts: int = 0
    ends: int = 0
    judged: int = 0  # pieces of 32 ms
    quiet: int = 0  # of those that were so quiet that the detector was not asked
    skipped: int = 0  # that were not judged because too many waited
    withheld_samples: int = 0  # at 16 kHz, that belonged to no turn


class ActivityGate:
    """A `Leg` before another, which `attach` says. `rate`: of the audio in the messages, Hz, 16000 or 8000.
    `wake` is called when there is something to `listen` to, until that says there is no more; `detector` is
    given back to `release` at the end.
    """

    __slots__ = (
        *("_activity", "_all_input", "_counts", "_detector", "_head", "_kept", "_leg"),
        *("_marked", "_notes", "_pcm"),
        *("_quiet", "_queued", "_release", "_resampler", "_taken", "_wake"),
    )

    def __init__(
        self,
        detection: Detection,
        detector: Detector,
        *,
        rate: int,
        all_input: bool,
        counts: GateCounts,
        wake: Callable[[ActivityGate], None],
        release: Callable[[Detector], None],
    ) -> None:
        self._activity = Activity(detection)
        self._detector: Detector | None = detector
        self._head = len(gemini.audio_head(rate))
        self._all_input = all_input
        self._counts = counts
        self._wake = wake
        self._release = release
        self._resampler = None if rate == RATE else PcmResampler(rate, RATE, _WORK)
        self._leg: Leg | None = None
        self._kept: deque[tuple[int, int, bytes]] = deque()  # messages that wait; where they are
        self._taken = 0  # position behind the newest message
        self._pcm = bytearray()  # 16 kHz, not judged yet
        self._quiet = 0  # pieces in a row
        self._queued = False  # woken, and not done with what came
        self._marked = False  # a turn has begun, and audio of it went up
        self._notes: list[bytes] = []

    # -- the session's side --

    def attach(self, leg: Leg) -> Leg:
        """A session of the model's, the first or the next. What of the caller it is to hear is sent again:
        here nothing is left of what another one heard."""
        self._leg = leg
        self._kept.clear()
        self._pcm.clear()
        self._notes.clear()
        self._marked = False
        self._activity.position = self._taken
        self._activity.reset()
        if self._detector is not None:
            self._detector.reset()
        return self

    @property
    def speaking(self) -> bool:
        """The caller's turn has begun and not ended."""
        return self._activity.speaking

    @property
    def congested(self) -> bool:
        return self._leg is not None and self._leg.congested

    def send(self, kind: WSMsgType, buffer: bytearray, offset: int) -> None:
        """Audio of the caller's."""
        leg = self._leg
        if leg is None:
            return
        message = bytes(memoryview(buffer)[offset:])
        if self._all_input or self._activity.speaking:
            if not self._marked and self._activity.speaking:
                self._mark()
            leg.send(kind, buffer, offset)
            self._hear(message)
        else:
            begins = self._taken
            self._hear(message)
            self._kept.append((begins, self._taken, message))
        if len(self._pcm) >= _CHUNK_BYTES and not self._queued:
            self._queued = True
            self._wake(self)

    def send_text(self, message: bytes) -> None:
        if self._leg is not None:
            self._leg.send_text(message)

    def say_within(self, message: bytes) -> None:
        """Text that must stand within a turn of the caller's: at once, or when the next one begins."""
        if self._marked:
            self.send_text(message)
        else:
            self._notes = [message]  # what an older one told is no news

    def close(self, code: int, reason: str) -> None:
        if self._leg is not None:
            self._leg.close(code, reason)
        self.let_go()

    def let_go(self) -> None:
        """The call is over."""
        self._leg = None
        self._kept.clear()
        self._pcm.clear()
        if self._detector is not None:
            self._release(self._detector)
            self._detector = None

    # -- between frames --

    def listen(self) -> bool:
        """Judge one piece of what came. True: there is more."""
        self._queued = False
        if len(self._pcm) < _CHUNK_BYTES or self._detector is None:
            return False
        pcm = np.frombuffer(bytes(self._pcm[:_CHUNK_BYTES]), np.int16)
        del self._pcm[:_CHUNK_BYTES]
        change = self._activity.judge(self._probability(pcm, self._detector), CHUNK)
        if change is Change.STARTED:
            self._begin()
        elif change is Change.ENDED:
            self._end()
        elif not self._activity.speaking:
            self._forget(self._activity.keep_from)
        self._queued = len(self._pcm) >= _CHUNK_BYTES
        return self._queued

    def _probability(self, pcm: NDArray[np.int16], detector: Detector) -> float:
        if np.abs(pcm.astype(np.int32)).mean() >= _QUIET:
            self._quiet = 0
            self._counts.judged += 1
            return detector.probability(pcm)
        self._counts.quiet += 1
        self._quiet += 1
        if self._quiet == _FORGET_AFTER:
            detector.reset()
        return 0.0

    def _begin(self) -> None:
        self._forget(self._activity.begins)
        if not self._kept and not self._all_input:
            return  # it was judged so late that the turn before took it; what comes next marks this one
        self._mark()
        for _, _, message in self._kept:
            self.send_text(message)
        self._kept.clear()

    def _mark(self) -> None:
        self._marked = True
        self._counts.starts += 1
        self.send_text(gemini.ACTIVITY_START)
        for note in self._notes:
            self.send_text(note)
        self._notes.clear()

    def _end(self) -> None:
        if self._marked:
            self._marked = False
            self._counts.ends += 1
            self.send_text(gemini.ACTIVITY_END)

    def _forget(self, before: int) -> None:
        """Audio that lies wholly before this position belongs to no turn."""
        kept = self._kept
        while kept and kept[0][1] <= before:
            begins, ends, _ = kept.popleft()
            self._counts.withheld_samples += ends - begins

    def _hear(self, message: bytes) -> None:
        pcm = b64decode(message[self._head : -len(gemini.AUDIO_TAIL)])
        if self._resampler is not None:
            pcm = self._resampler.process(np.frombuffer(pcm, np.int16)).tobytes()
        self._taken += len(pcm) // 2
        if len(self._pcm) + len(pcm) > _MOST_UNHEARD:
            self._counts.skipped += len(self._pcm) // _CHUNK_BYTES
            self._activity.skip(len(self._pcm) // 2)
            self._pcm.clear()
        self._pcm += pcm
