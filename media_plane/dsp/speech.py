"""When the caller speaks, judged by level alone: good enough for latencies and dead air, not for turn-taking.

A frame is voiced when its mean absolute amplitude is 12 dB over the line's noise, and over a floor below
which no telephone speech lies. Speech begins when three of the last five frames were voiced (a click is not
speech) and ends when none was for the hangover; the times told are those of the audible frames, without
either delay.

The uplink kernels do it with the level they have at hand; here is what they write down.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from media_plane.dsp import kernels


class SpeechDetector:
    """Fed with the level of every frame, in order, by a kernel or by `frame`.

    `registers`: int64[9], an uplink's; without them it has its own.
    """

    __slots__ = ("_registers",)

    def __init__(self, registers: NDArray[np.int64] | None = None) -> None:
        self._registers = np.zeros(kernels.REGISTERS // 8, np.int64) if registers is None else registers
        self._registers.view(np.float64)[kernels.NOISE] = kernels.FIRST_NOISE

    @property
    def speaking(self) -> bool:
        """Speech has begun and not ended."""
        return bool(self._registers[kernels.SPEAKING])

    @property
    def started_ns(self) -> int:
        """The beginning of the newest speech's first audible frame; 0: the caller has not spoken."""
        return int(self._registers[kernels.STARTED_NS])

    @property
    def stopped_ns(self) -> int:
        """The end of the newest speech's last audible frame so far; 0: the caller has not spoken."""
        return int(self._registers[kernels.STOPPED_NS])

    @property
    def since_ns(self) -> int:
        """The beginning of the first speech since `heard_out`; 0: there was none."""
        return int(self._registers[kernels.SINCE_NS])

    def frame(self, level: int, frame_ns: int, now_ns: int) -> None:
        """A frame of mean absolute amplitude `level`, `frame_ns` long, that was complete at `now_ns`."""
        kernels.hear(self._registers, level, frame_ns, now_ns)

    def heard_out(self, until_ns: int) -> None:
        """What was said before `until_ns` is dealt with; `since_ns` starts again behind it."""
        self._registers[kernels.SINCE_NS] = self.started_ns if self.started_ns > until_ns else 0

    def move(self, registers: NDArray[np.int64]) -> None:
        """They are elsewhere now, with what they held."""
        self._registers = registers
