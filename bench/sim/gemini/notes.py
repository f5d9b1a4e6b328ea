"""What a model makes of a note in brackets, from whoever runs the line: it takes up what it left open."""

from __future__ import annotations

import re
from typing import Final

from bench.sim.gemini.brain import Brain, Reply
from bench.sim.gemini.memory import Memory

_HEARD: Final = re.compile(r'\bup to "([^"]+)"')
_ASKED: Final = re.compile(r'\blast words were "([^"]+)"')
_NOTHING_LEFT: Final = "I am still here."


def take_up(note: str, brain: Brain, memory: Memory) -> Reply | None:
    """The answer to a note that asks for one; None: it is no note."""
    if not note.startswith("["):
        return None
    if heard := _HEARD.search(note):
        return brain.say(_after(memory.saying, heard[1]) or _NOTHING_LEFT, memory)
    asked = _ASKED.search(note)
    if memory.unanswered or asked:
        return brain.answer(memory.unanswered or (asked[1] if asked else ""), memory)
    return brain.say(memory.saying or _NOTHING_LEFT, memory)


def _after(text: str, heard: str) -> str:
    """What follows in `text` after the words that were heard."""
    words, last = text.split(), heard.split()[-3:]
    for at in range(len(words) - len(last), -1, -1):
        if words[at : at + len(last)] == last:
            return " ".join(words[at + len(last) :])
    return text
