"""Cut the silence off both ends of speech."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_THRESHOLD = 200  # of 32768, about -44 dBFS: below the quietest consonant, above synthesis noise
_KEEP_MS = 30  # soft onsets and tails lie below the threshold


def trim_silence(pcm: npt.NDArray[np.int16], rate: int) -> npt.NDArray[np.int16]:
    """Return a copy of `pcm` (int16 mono at `rate` Hz) from 30 ms before its first to 30 ms after its last
    audible sample; empty when nothing is audible."""
    audible = np.flatnonzero(np.abs(pcm.astype(np.int32)) > _THRESHOLD)
    if audible.size == 0:
        return np.zeros(0, np.int16)
    keep = rate * _KEEP_MS // 1000
    return pcm[max(0, int(audible[0]) - keep) : int(audible[-1]) + 1 + keep].copy()
