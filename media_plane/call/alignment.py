"""Which of the model's words were heard, when its audio was cut off: transcript deltas against audio.

The model says its words in order, and sends no times for them. What is known of a delta is how much of the
turn's audio had come when it came. Deltas follow the audio they belong to, or go a little ahead of it, so
that is a bound from above on where its words begin; where they trail by seconds, a slow reading of the text
before them gives a nearer one. How fast this voice reads is learned from turns that were played to their end.

Every position is a bound from above, so a word that counts as heard was played; some that were played may be
counted as unheard instead, mostly the last one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LATE = -1  # "received" of a delta that came after the cut
_RATE = 8000
_EARLY = 3200  # samples; deltas go ahead of their audio by no more than 400 ms
_LEAD = 3200  # of silence before the first word
_DOUBT = 160  # 20 ms: the ledger's error
_USUAL = 12.0  # units a second: an unhurried English voice
_SLOWEST = 0.65  # of the rate over whole turns: the slowest stretch of one
_ENOUGH = 12_000  # samples of a turn that tells the rate
_IDEOGRAM = (
    "\u1100-\u11ff\u2e80-\ud7ff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff"  # scripts without spaces
)
_WORD = re.compile(rf"[{_IDEOGRAM}]|[^\s{_IDEOGRAM}]+")
_NOT_LETTERS = re.compile(rf"[{_IDEOGRAM}]|[^\w\s]|[\d_]")
_IDEOGRAMS = re.compile(rf"[{_IDEOGRAM}]")
_PAUSES = ".,;:!?…\"')]。、，；：！？」』"  # after a word, so no part of it
_IDEOGRAM_UNITS = 3
_DIGIT_UNITS = 7  # "7" is read as "seven", "90" as "ninety"
_SIGN_UNITS = 8  # a pause, or a word: "$", "%"


def units(text: str) -> int:
    """How long `text` takes to say, in Latin letters."""
    found = len(text)
    for sign in _NOT_LETTERS.findall(text):
        if sign.isdigit():
            found += _DIGIT_UNITS - 1
        elif _IDEOGRAMS.match(sign):
            found += _IDEOGRAM_UNITS - 1
        else:
            found += _SIGN_UNITS - 1
    return found


class Pace:
    """How fast a voice reads: the slowest of its turns."""

    __slots__ = ("_slowest",)

    def __init__(self) -> None:
        self._slowest = 0.0  # units a second; 0: nothing learned

    def learn(self, text: str, samples: int) -> None:
        """A turn of `samples` at 8 kHz was played whole."""
        rate = units(text) * _RATE / samples if samples >= _ENOUGH else 0.0
        if rate and (not self._slowest or rate < self._slowest):
            self._slowest = rate

    def slow(self, text: str, samples: int) -> float:
        """Samples a unit takes at most, in a turn of which `text` and `samples` are known."""
        rate = self._slowest or _USUAL
        if samples > 0:
            rate = min(rate, max(units(text), 1) * _RATE / samples)
        return _RATE / (rate * _SLOWEST)


def heard_length(deltas: Sequence[str], received: Sequence[int], heard: int, samples: int, pace: Pace) -> int:
    """Where to cut the deltas' joined text: everything before it was heard.

    `received`: samples of the turn that had come with each delta, or LATE, from which on none was heard.
    `heard`: samples of the turn that were played; `samples`: those that came. All at 8 kHz.
    """
    text = "".join(deltas)
    unit = pace.slow(text, samples)
    heard -= _DOUBT
    words = _WORD.finditer(text)
    word = next(words, None)
    cut = 0  # the end of the last word heard
    begins, position = 0, float(_LEAD)  # of the delta: its first character, and where that is said at latest
    for index, delta in enumerate(deltas):
        if received[index] == LATE:
            break
        ends = begins + len(delta)
        position = min(position, received[index] + _EARLY)
        limit = float("inf")  # the next delta's words are said after this one's
        if index + 1 < len(deltas) and received[index + 1] != LATE:
            limit = received[index + 1] + _EARLY
        while word is not None and word.end() <= ends:
            if word.end() == len(text) and text[-1:].isalnum() and index + 1 == len(deltas):
                return cut  # it may go on
            said = position + units(text[begins : word.end()].rstrip(_PAUSES)) * unit
            if min(said, limit) > heard:
                return cut
            cut = word.end()
            word = next(words, None)
        position += units(delta) * unit
        begins = ends
    return cut


def likely_length(deltas: Sequence[str], received: Sequence[int], samples: int) -> int:
    """Where to cut the deltas' joined text of a turn that broke off: everything before it is likely to be in
    the `samples` that came. No bound, but a guess: words are neither to be lost nor to be said twice."""
    text = "".join(deltas)
    if not deltas:
        return 0
    known = units("".join(deltas[:-1]))  # said in what had come with the last delta, about
    unit = received[-1] / known if received[-1] >= _ENOUGH and known else _RATE / _USUAL
    begins = len(text) - len(deltas[-1])
    position = min(known * unit, received[-1])
    cut = 0
    for word in _WORD.finditer(text):
        ends = position + units(text[begins : word.end()].rstrip(_PAUSES)) * unit
        if word.end() > begins and ends > samples + _DOUBT:
            return cut
        cut = word.end()
    return cut
