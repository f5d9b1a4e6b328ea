"""When the caller's turn begins and ends, from how likely each piece of its audio is speech. Pure.

What Gemini Live's own detection does with its settings is done here with the same ones
(`automaticActivityDetection` of the Live API, whose names they keep): a turn begins when there has been
speech for `prefix_padding_ms`, and ends when there has been none for `silence_duration_ms`. It counts audio,
not time: a burst and a paced stream end at the same sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

RATE = 16_000
_PER_MS = RATE // 1000
_GAP_MS = 100  # a stop consonant; a longer silence before a turn has begun starts the count anew


class Change(Enum):
    STARTED = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class Detection:
    """`threshold`: from which probability on a piece is speech; `release`: below which it is silence (between
    the two it is what the piece before it was)."""

    threshold: float = 0.5
    release: float = 0.35
    prefix_padding_ms: int = 100  # of speech, before a turn begins: a click or a cough is none
    silence_duration_ms: int = 500  # of silence, before it ends
    speech_pad_ms: int = 300  # of audio before the first speech that belong to the turn: soft onsets


class Activity:
    """Told of every piece of audio, in order. Positions count samples at 16 kHz.

    `position`: up to which audio was judged. `speaking`: a turn has begun and not ended. `begins`: where the
    newest turn's audio does.
    """

    __slots__ = ("_detection", "_onset", "_silent", "_voiced", "begins", "position", "speaking")

    def __init__(self, detection: Detection) -> None:
        self._detection = detection
        self.position = 0
        self.reset()

    def reset(self) -> None:
        """What comes does not continue what was; positions go on."""
        self.speaking = False
        self.begins = self.position
        self._onset = -1  # of the first speech that may become a turn; -1: there was none
        self._voiced = 0  # samples of speech since then
        self._silent = 0  # samples of silence since the last speech

    @property
    def keep_from(self) -> int:
        """Audio before it will belong to no turn, unless one goes on."""
        found = self.position if self._onset < 0 else self._onset
        return max(found - self._detection.speech_pad_ms * _PER_MS, 0)

    def judge(self, probability: float, samples: int) -> Change | None:
        """The next `samples` are speech with this probability."""
        at = self.position
        self.position += samples
        detection = self._detection
        lasting = self._onset >= 0 and not self._silent
        if probability >= detection.threshold or (lasting and probability >= detection.release):
            return self._heard(at, samples)
        self._silent += samples
        if self.speaking:
            if self._silent >= detection.silence_duration_ms * _PER_MS:
                self._forget_speech()
                self.speaking = False
                return Change.ENDED
        elif self._silent > _GAP_MS * _PER_MS:
            self._forget_speech()
        return None

    def skip(self, samples: int) -> None:
        """The next `samples` are not judged: they change nothing."""
        self.position += samples

    def _heard(self, at: int, samples: int) -> Change | None:
        if self._onset < 0:
            self._onset = at
        self._silent = 0
        self._voiced += samples
        if self.speaking or self._voiced < self._detection.prefix_padding_ms * _PER_MS:
            return None
        self.speaking = True
        self.begins = max(self._onset - self._detection.speech_pad_ms * _PER_MS, 0)
        return Change.STARTED

    def _forget_speech(self) -> None:
        self._onset = -1
        self._voiced = 0
