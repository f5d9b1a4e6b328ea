"""When the caller speaks, judged by level alone: good enough for latencies and dead air, not for turn-taking.

A frame is voiced when its mean absolute amplitude is 12 dB over the line's noise, and over a floor below
which no telephone speech lies. Speech begins when three of the last five frames were voiced (a click is not
speech) and ends when none was for the hangover; the times told are those of the audible frames, without
either delay.
"""

from __future__ import annotations

QUIETEST_SPEECH = 160  # of 32124, mean absolute amplitude: about -46 dBFS
_OVER_NOISE = 4.0  # 12 dB
_NOISE_RISE = 1.004  # a frame; the noise estimate doubles in 3.5 s and falls at once
_LOUDEST_NOISE = 1000.0  # about -30 dBFS: louder is somebody speaking without a pause
_ONSET_FRAMES = 3
_ONSET_MEMORY_NS = 100_000_000  # 5 frames
_HANGOVER_NS = 300_000_000  # gaps inside words and between them


class SpeechDetector:
    """Fed with the level of every frame, in order.

    `speaking`: speech has begun and not ended. `started_ns`: the beginning of the newest speech's first
    audible frame; `stopped_ns`: the end of its last audible frame so far; `since_ns`: the beginning of the
    first speech since `heard_out`. 0: the caller has not spoken.
    """

    __slots__ = (
        *("_first_ns", "_noise", "_voiced", "_voiced_ns"),
        *("since_ns", "speaking", "started_ns", "stopped_ns"),
    )

    def __init__(self) -> None:
        self.speaking = False
        self.started_ns = 0
        self.stopped_ns = 0
        self.since_ns = 0
        self._noise = QUIETEST_SPEECH / _OVER_NOISE
        self._voiced = 0  # voiced frames that may become an onset
        self._first_ns = 0  # when the first of them began
        self._voiced_ns = 0  # end of the newest voiced frame

    def frame(self, level: int, frame_ns: int, now_ns: int) -> None:
        """A frame of `frame_ns` that was complete at `now_ns`."""
        noise = self._noise
        if level < noise:
            self._noise = noise = max(level, 1.0)
        else:
            self._noise = min(noise * _NOISE_RISE, _LOUDEST_NOISE)
        if level < QUIETEST_SPEECH or level < noise * _OVER_NOISE:
            if self.speaking and now_ns - self._voiced_ns > _HANGOVER_NS:
                self.speaking = False
                self._voiced = 0
            return
        if self.speaking:
            self.stopped_ns = self._voiced_ns = now_ns
            return
        if self._voiced == 0 or now_ns - self._voiced_ns > _ONSET_MEMORY_NS:
            self._voiced = 0
            self._first_ns = now_ns - frame_ns
        self._voiced_ns = now_ns
        self._voiced += 1
        if self._voiced >= _ONSET_FRAMES:
            self.speaking = True
            self.started_ns = self._first_ns
            self.stopped_ns = now_ns
            self.since_ns = self.since_ns or self._first_ns

    def heard_out(self, until_ns: int) -> None:
        """What was said before `until_ns` is dealt with; `since_ns` starts again behind it."""
        self.since_ns = self.started_ns if self.started_ns > until_ns else 0
