"""end_call: the call ends when the agent's goodbye has been played, not when it was decided.

The model may call it beside its last words, or first and say goodbye once it is answered. Someone who speaks
over the goodbye is not hung up on: the model hears them out and calls end_call again.
"""

from __future__ import annotations

WORDS_WAIT_NS = 5_000_000_000  # for a goodbye that was not said yet; an answer takes 1.4 s, a slow one 3
SETTLE_NS = 300_000_000  # after our clock says that all was played: the telephone network's own delay
_STUCK_NS = 3_000_000_000  # a turn whose end is never told, and nothing more of it comes


class Farewell:
    """`asked`: the agent wants the call to end."""

    __slots__ = ("_asked_ns", "_audio_ns", "_played_ns", "_said", "_samples")

    def __init__(self) -> None:
        self._asked_ns = 0
        self._audio_ns = 0  # newest agent audio, as far as it was looked at
        self._samples = -1  # written then; -1: not looked at yet
        self._played_ns = 0  # since when nothing is left to play; 0: something is
        self._said = False

    @property
    def said(self) -> bool:
        """The agent has spoken since the caller last did, as far as `due` has seen."""
        return self._said

    @property
    def asked(self) -> bool:
        return self._asked_ns > 0

    def ask(self, now_ns: int, *, said: bool) -> None:
        """end_call was called; `said`: the agent has spoken since the caller last did."""
        self._asked_ns, self._audio_ns, self._played_ns, self._said = now_ns, now_ns, 0, said
        self._samples = -1

    def interrupted(self) -> bool:
        """The caller spoke over the agent; True: that has called off the end."""
        called_off = self.asked
        self._asked_ns = 0
        return called_off

    def due(self, now_ns: int, *, generating: bool, left_ns: int, samples: int) -> bool:
        """Whether the call is to end now. `generating`: the model is in the middle of a turn; `left_ns`: how
        much of what was sent has not been played; `samples`: of agent audio, ever written. Asked several
        times a second."""
        if not self.asked:
            return False
        if samples != self._samples:
            self._said = self._said or self._samples >= 0
            self._samples, self._audio_ns = samples, now_ns
        if left_ns > 0 or (generating and now_ns - self._audio_ns < _STUCK_NS):
            self._played_ns = 0
            return False
        if not self._said:
            return now_ns - self._asked_ns >= WORDS_WAIT_NS
        if not self._played_ns:
            self._played_ns = now_ns
        return now_ns - self._played_ns >= SETTLE_NS
