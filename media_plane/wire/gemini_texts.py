"""Texts that reach the model from outside of the call: something to say, or something to know. Pure.

Something to say cuts off what the model says and is answered; a model that takes no clientContent once the
conversation runs gets it as realtime text, which waits its turn. Something to know must not be answered,
which only clientContent can do, and, because that would cut the model off, only while it says nothing.
"""

from __future__ import annotations

import json

from protos.gemini.models import ClientContent, known

MAX_WAITING = 8  # instructions, for a model that does not stop talking


class TextRefused(Exception):
    """The model can't be given this text now."""


class OutsideTexts:
    """Of one call. What `speak` returns is sent at once; what `due` returns, while the model is silent."""

    __slots__ = ("_any_time", "waiting")

    def __init__(self, model: str) -> None:
        found = known(model)
        self._any_time = found is not None and found.client_content is ClientContent.ANY_TIME
        self.waiting: list[bytes] = []  # messages that tell it something

    def speak(self, text: str) -> bytes:
        """The message that has the model say `text`."""
        order = f'Say now, in these words and no others: "{text}"'
        if not self._any_time:
            return json.dumps({"realtimeInput": {"text": order}}).encode()
        return _content(order, complete=True)

    def instruct(self, text: str) -> None:
        """Keep `text` until the model is silent.

        Raises:
            TextRefused: the model takes no instructions, or too many wait.
        """
        if not self._any_time:
            raise TextRefused("this call's model takes no instructions once the conversation runs")
        if len(self.waiting) >= MAX_WAITING:
            raise TextRefused(f"{MAX_WAITING} instructions wait for the agent to be silent")
        note = f"[Instruction from the operator, not said by the caller: {text} Don't answer this note.]"
        self.waiting.append(_content(note, complete=False))

    def due(self) -> list[bytes]:
        """What waits, which is to be sent now."""
        due, self.waiting = self.waiting, []
        return due


def _content(text: str, *, complete: bool) -> bytes:
    turns = [{"role": "user", "parts": [{"text": text}]}]
    return json.dumps({"clientContent": {"turns": turns, "turnComplete": complete}}).encode()
