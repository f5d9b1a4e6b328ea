"""What the decisions of a call know of the caller's voice; `dsp.speech` judges it, where the audio is."""

from __future__ import annotations

from typing import Protocol


class CallerSpeech(Protocol):
    """Times are the clock's, in ns; 0: the caller has not spoken."""

    @property
    def speaking(self) -> bool:
        """Speech has begun and not ended."""

    @property
    def started_ns(self) -> int:
        """The beginning of the newest speech."""

    @property
    def stopped_ns(self) -> int:
        """The end of the newest speech so far, without what it takes to be sure."""

    @property
    def since_ns(self) -> int:
        """The beginning of the first speech since `heard_out`."""

    def heard_out(self, until_ns: int) -> None:
        """What was said before `until_ns` is dealt with; `since_ns` starts again behind it."""
