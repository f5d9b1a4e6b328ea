"""When a channel becomes audible and when it falls quiet, from the energy of its μ-law samples.

Audio is judged in windows of 5 ms, and bounds are placed at the first and the last loud sample of such a
window. Audible: two windows in a row above the threshold, from the first of them. Quiet: no window above it
for `HANGOVER`, from the end of the last loud one. So a bound is good to 5 ms; that speech has ended is known
only `HANGOVER` later.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.sim.twilio.mulaw import POWER, RATE, SILENT_FRAME

WINDOW = 40  # samples, 5 ms; a frame is a whole number of them
THRESHOLD_RMS = 180.0  # about -45 dBFS: below speech's weak consonants, above μ-law's idle noise
LOUD = np.float32(THRESHOLD_RMS**2 * WINDOW)  # sum of squares of a loud window
HANGOVER = RATE * 3 // 10  # 300 ms: shorter quiet is a stop consonant or a breath, not an end

_SUM = np.ones(WINDOW, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Bound:
    """One change: audible from `sample` on, or quiet from `sample` on."""

    audible: bool
    sample: int


class Listener:
    """Feed it a channel's frames in order; positions count from the channel's sample 0."""

    def __init__(self) -> None:
        self._position = 0
        self._last_window = _SUM  # squared samples of the last loud window
        self._loud_since: int | None = None  # first of a row of loud windows
        self.audible = False
        self.onset: int | None = None  # sample of the last onset
        self.last_loud: int | None = None  # sample after the last loud window

    def hear(self, frame: bytes | bytearray) -> list[Bound]:
        """`frame`: μ-law, a whole number of windows. Returns the changes it decides, in order."""
        if frame == SILENT_FRAME:  # most frames of most calls
            self._loud_since = None
            self._position += len(frame)
            return self._quiet()
        bounds: list[Bound] = []
        samples = POWER[np.frombuffer(frame, dtype=np.uint8)].reshape(-1, WINDOW)
        for window, loud in zip(samples, (samples @ _SUM > LOUD).tolist(), strict=True):
            begin = self._position
            self._position += WINDOW
            if not loud:
                self._loud_since = None
                bounds += self._quiet()
                continue
            if self._loud_since is None:
                self._loud_since = begin + int(np.argmax(window > LOUD / WINDOW))
                if not self.audible:
                    continue  # a single window is a click
            if not self.audible:
                self.audible = True
                self.onset = self._loud_since
                bounds.append(Bound(True, self._loud_since))
            self.last_loud = self._position
            self._last_window = window
        return bounds

    def _quiet(self) -> list[Bound]:
        if self.audible and self.last_loud is not None and self._position - self.last_loud >= HANGOVER:
            return self.end()
        return []

    def end(self) -> list[Bound]:
        """The channel is over: what is audible stops where it was last loud."""
        if not self.audible or self.last_loud is None:
            return []
        self.audible = False
        trailing = int(np.argmax(self._last_window[::-1] > LOUD / WINDOW))
        return [Bound(False, self.last_loud - trailing)]
