"""A text that has a silent model go on. Pure.

`clientContent` that completes a turn asks for an answer and interrupts one that is under way, so there is one
answer, not two. Where it is not taken once the conversation runs, realtime text asks as well, but behind what
is under way. Either way the text says what the caller has heard, so that nothing is said twice, and claims no
more than is known here: that the caller hears nothing.
"""

from __future__ import annotations

import json
from enum import Enum

from media_plane.call.stall import Cause
from protos.gemini.models import ClientContent, known

_HEAD = "[Note from the telephone line, not said by the caller: "
_ONCE = " Repeat nothing that the caller has heard."
_LONGEST = 240  # characters quoted: the model has the whole in its memory, this finds the place


class Nudging(Enum):
    """How a model is asked to go on."""

    CLIENT_CONTENT = "as a turn that is complete"
    REALTIME_TEXT = "as text beside the audio"
    NEVER = "not at all"


def nudging(model: str) -> Nudging:
    """How to nudge a model, by its name. One unknown to us might close the session on it."""
    found = known(model)
    if found is None:
        return Nudging.NEVER
    if found.client_content is ClientContent.ANY_TIME:
        return Nudging.CLIENT_CONTENT
    return Nudging.REALTIME_TEXT


def nudge(
    cause: Cause,
    how: Nudging,
    *,
    greeting: str = "",
    heard: str = "",
    unheard: str = "",
    caller: str = "",
    may_stay_silent: bool = False,
) -> bytes | None:
    """The message; None: don't send one.

    `heard`, `unheard`: of an answer that was cut off, as far as it is known. `greeting`: what was to be said
    first. `caller`: the last words, for a session that may not have heard them.
    """
    if how is Nudging.NEVER:
        return None
    words = _words(cause, greeting, heard, unheard, may_stay_silent)
    if caller:
        words += f' The caller\'s last words were "{_end(caller)}".'
    text = f"{_HEAD}{words}]"
    if how is Nudging.REALTIME_TEXT:
        return json.dumps({"realtimeInput": {"text": text}}).encode()
    turns = [{"role": "user", "parts": [{"text": text}]}]
    return json.dumps({"clientContent": {"turns": turns, "turnComplete": True}}).encode()


def _words(cause: Cause, greeting: str, heard: str, unheard: str, may_stay_silent: bool) -> str:
    if cause is Cause.GREETING:
        return f'the caller is there and hears nothing. Greet the caller now. Say exactly: "{greeting}"'
    if cause in (Cause.PHANTOM, Cause.BROKE_OFF):
        return _go_on(cause, heard, unheard)
    if cause is Cause.TOOL:
        text = "a function you called has answered, and the caller waits for what it brought. Tell it now."
        done = "If you have told it"
    else:
        text = "the caller has finished and hears nothing. Answer the caller's last words now."
        done = "If you have answered them"
    if may_stay_silent:
        return f"{text} {done} already, or if nothing was meant for you, stay silent.{_ONCE}"
    return f"{text} {done} already, ask briefly what else you can do.{_ONCE}"


def _go_on(cause: Cause, heard: str, unheard: str) -> str:
    if cause is Cause.PHANTOM:
        text = "your last answer was cut off, although the caller had not said a word."
    else:
        text = "your last answer broke off."
    if not heard:
        return f"{text} The caller heard nothing of it, and waits. Give the answer now."
    text += f' The caller heard it up to "{_end(heard)}", and waits.'
    if unheard:
        begin = unheard if len(unheard) <= _LONGEST else unheard[:_LONGEST].rpartition(" ")[0] + "…"
        text += f' Not heard was "{begin}".'
    return f"{text} Go on from there. If the caller has said something since, answer that.{_ONCE}"


def _end(text: str) -> str:
    return text if len(text) <= _LONGEST else "…" + text[-_LONGEST:].partition(" ")[2]
