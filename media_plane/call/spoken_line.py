"""Sentences that are made ahead and played without the model: what they are filed under, whether what the
model said is what it was asked to say, and a bounded shelf for them. Pure.
"""

from __future__ import annotations

import json
import unicodedata
from collections import OrderedDict
from hashlib import sha256

RATE = 8000  # μ-law bytes a second
MOST = 15 * RATE  # of one sentence: who is asked to wait for so long hangs up
_LEAST_A_LETTER = RATE // 40  # 25 ms: nobody speaks twice as fast as people do
_SHELF = 4 * 1024 * 1024  # bytes of all lines: some ten minutes


def key(service: str, model: str, voice: str, text: str) -> str:
    """What the audio of `text` is filed under; `service`: whose `model` it is. The number is of this way to
    make and to judge them: lines of another one are not played."""
    named = json.dumps([service, model, voice, text]).encode()
    return f"spoken:v1:{sha256(named).hexdigest()}"


def same_words(text: str, heard: str) -> bool:
    """Whether a transcription says `text`, but for case, punctuation and where words are divided: a
    transcription comes in pieces, and not every script divides words."""
    return _letters(text) == _letters(heard)


def amiss(text: str, heard: str, samples: int) -> str:
    """Why audio, transcribed as `heard`, may not stand for `text`; empty: it may."""
    if not same_words(text, heard):
        return "other words were said"
    if samples < max(len(_letters(text)), 1) * _LEAST_A_LETTER:
        return "it broke off"
    if samples > MOST:
        return "it is too long"
    return ""


class Shelf:
    """μ-law by key; what was asked for longest ago makes room."""

    def __init__(self, most: int = _SHELF) -> None:
        self._most = most
        self._lines: OrderedDict[str, bytes] = OrderedDict()
        self.bytes = 0

    def get(self, key: str) -> bytes | None:
        ulaw = self._lines.get(key)
        if ulaw is not None:
            self._lines.move_to_end(key)
        return ulaw

    def put(self, key: str, ulaw: bytes) -> None:
        self.bytes += len(ulaw) - len(self._lines.pop(key, b""))
        self._lines[key] = ulaw
        while self.bytes > self._most:
            _, old = self._lines.popitem(last=False)
            self.bytes -= len(old)


def _letters(text: str) -> str:
    """Letters, digits and the marks that belong to them."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(each for each in plain if unicodedata.category(each)[0] in "LNM")
