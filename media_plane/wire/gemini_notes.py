"""Telling the model what of its last answer was heard. Pure.

After an interruption the service keeps in the model's memory all that it had sent, which is seconds ahead of
what was played; so the model goes on as if the caller had heard it. A note among the conversation's turns
puts that right. It must ask for no answer: the caller is about to speak.
"""

from __future__ import annotations

import json
from enum import Enum

from protos.gemini.models import ClientContent, known
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings

_LONGEST = (
    240  # characters quoted of either part: the model has the whole in its memory, this finds the place
)


class Telling(Enum):
    """How a note reaches the model."""

    CLIENT_CONTENT = "as a turn that is not complete"  # it interrupts, so only when the model is silent
    ACTIVITY_TEXT = "as text within the caller's turn"  # which the client marks, so only in mode MANUAL
    NEVER = "not at all"


def telling(model: str, *, manual: bool = False) -> Telling:
    """How to tell a model, by its name. `manual`: the node marks the caller's turns. Realtime text
    within such a turn is part of it; outside one it asks for an answer of its own, so a model that takes no
    clientContent once the conversation runs is not told otherwise. Nor is one unknown to us, which might
    close the session on it."""
    found = known(model)
    if found is not None and manual:
        return Telling.ACTIVITY_TEXT
    if found is not None and found.client_content is ClientContent.ANY_TIME:
        return Telling.CLIENT_CONTENT
    return Telling.NEVER


def tells_heard(settings: AgentSettings | None) -> bool:
    """Whether a call's settings let its model be told what was heard; unless they say no, they do."""
    return settings is None or not settings.HasField("tell_heard") or settings.tell_heard


def heard_note(heard: str, unheard: str, heard_ms: int, how: Telling) -> bytes | None:
    """The message that tells what the caller heard of the last answer, and what not; None: don't tell.

    `heard`, `unheard`: the words of either part, as far as they are known when the answer is cut off."""
    words = json.dumps(_words(heard, unheard, heard_ms), ensure_ascii=False)
    if how is Telling.CLIENT_CONTENT:
        turn = f'{{"role":"user","parts":[{{"text":{words}}}]}}'
        return f'{{"clientContent":{{"turns":[{turn}],"turnComplete":false}}}}'.encode()
    if how is Telling.ACTIVITY_TEXT:
        return f'{{"realtimeInput":{{"text":{words}}}}}'.encode()
    return None


def _words(heard: str, unheard: str, heard_ms: int) -> str:
    note = "[Note from the telephone line, not said by the caller: the caller spoke over your last answer"
    if heard:
        note += f' and heard it only up to "{_last(heard)}".'
    elif heard_ms >= 1000:
        note += f" and heard only its first {heard_ms // 1000} s."
    else:
        note += " and heard nothing of it."
    if unheard:
        note += f' The caller did not hear "{_first(unheard)}".'
    return note + " Don't answer this note.]"


def _last(text: str) -> str:
    return text if len(text) <= _LONGEST else "…" + text[-_LONGEST:].partition(" ")[2]


def _first(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST].rpartition(" ")[0] + "…"
