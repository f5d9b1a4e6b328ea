"""One answer on its way out: which samples and which words the next frame carries.

generation = Generation(7, ["Hello.", "How are you?"], …)
generation.add(0, pcm)               # sentences arrive from the voice, in any order
chunk = generation.take(samples)     # None: nothing to send until more is said
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from bench.sim.gemini.pacing import RATE

_PAUSE: Final[npt.NDArray[np.int16]] = np.zeros(RATE * 180 // 1000, np.int16)  # between two sentences


@dataclass(frozen=True, slots=True)
class Chunk:
    """`pcm`: int16 at 24 kHz. `deltas`: output transcription whose words begin in these samples."""

    pcm: npt.NDArray[np.int16]
    deltas: list[str]


@dataclass
class _Sentence:
    text: str
    pcm: npt.NDArray[np.int16] | None = None
    taken: int = 0
    deltas: list[tuple[int, str]] = field(default_factory=list)  # (sample at which it begins, words)


class Generation:
    """Sentences in order, cut into chunks."""

    def __init__(self, number: int, sentences: list[str], rng: random.Random) -> None:
        self.number = number
        self._sentences = [_Sentence(text) for text in sentences]
        self._rng = rng
        self._current = 0
        self.samples_sent = 0
        self._words_sent: list[str] = []

    def add(self, index: int, pcm24k: npt.NDArray[np.int16]) -> None:
        """The voice has said a sentence."""
        sentence = self._sentences[index]
        sentence.pcm = pcm24k if index + 1 == len(self._sentences) else np.concatenate((pcm24k, _PAUSE))
        sentence.deltas = _spread(sentence.text, pcm24k.size, self._rng)

    @property
    def ready(self) -> bool:
        """Something can be taken now."""
        return self._current < len(self._sentences) and self._sentences[self._current].pcm is not None

    @property
    def finished(self) -> bool:
        """Everything has been taken."""
        return self._current >= len(self._sentences)

    def take(self, samples: int) -> Chunk | None:
        """Up to `samples` samples of one sentence, or None until more is said."""
        if not self.ready:
            return None
        sentence = self._sentences[self._current]
        assert sentence.pcm is not None, "ready says so"
        start, end = sentence.taken, min(sentence.taken + samples, sentence.pcm.size)
        sentence.taken = end
        last = end == sentence.pcm.size
        deltas = [
            words for offset, words in sentence.deltas if start <= offset < end or (last and offset >= end)
        ]
        if last:
            self._current += 1
        self.samples_sent += end - start
        self._words_sent += deltas
        return Chunk(sentence.pcm[start:end], deltas)

    @property
    def words_sent(self) -> str:
        """The words whose audio has left: what stays in the history after an interruption."""
        return "".join(self._words_sent).strip()


def _spread(text: str, samples: int, rng: random.Random) -> list[tuple[int, str]]:
    """Cut a sentence into deltas of one to four words, each placed where its first letter sounds."""
    words = text.split()
    deltas: list[tuple[int, str]] = []
    letters_before, index, letters = 0, 0, max(1, len(text))
    while index < len(words):
        group = words[index : index + rng.choice((1, 1, 2, 2, 3, 4))]
        delta = " " + " ".join(group)
        deltas.append((samples * letters_before // letters, delta))
        letters_before += len(delta)
        index += len(group)
    return deltas
