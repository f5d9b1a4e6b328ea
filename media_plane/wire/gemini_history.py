"""Telling a session of the model's what was said before it: clientContent, and texts. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

_QUOTED = 120  # characters of the agent's last words: enough to find the place


@dataclass(frozen=True, slots=True)
class Said:
    """`agent`: by the agent, else by the caller."""

    agent: bool
    text: str


def content(said: Iterable[Said], *, complete: bool) -> bytes:
    """Turns of the conversation. `complete`: an answer is wanted; as the initial history of a session whose
    setup announced one, it means that this was all of it."""
    turns = [{"role": "model" if each.agent else "user", "parts": [{"text": each.text}]} for each in said]
    return json.dumps({"clientContent": {"turns": turns, "turnComplete": complete}}).encode()


def text(words: str) -> bytes:
    """Text from the caller's side, which asks for an answer."""
    return json.dumps({"realtimeInput": {"text": words}}).encode()


def go_on(heard: str, asked: str = "") -> str:
    """What a session is told whose predecessor broke off in an answer, of which the caller heard `heard`.
    `asked`: what it answered, if the session does not know."""
    words = "[Note from the telephone line, not said by the caller: the line broke while you were speaking."
    if asked:
        words += f" The caller had said {json.dumps(asked, ensure_ascii=False)}."
    if not heard:
        return f"{words} The caller heard nothing of your answer. Say it now, without a greeting.]"
    end = heard if len(heard) <= _QUOTED else "…" + heard[-_QUOTED:].partition(" ")[2]
    return (
        f"{words} The caller heard you up to {json.dumps(end, ensure_ascii=False)}. Go on right behind these "
        "words, and repeat nothing.]"
    )
