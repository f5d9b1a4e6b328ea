"""What Twilio's side does beside audio: keys that are pressed, and a stream that leaves and comes back.

Keys are told the model together, when no more come: digits of one number are one message to it. A stream
leaves when the control plane has Twilio do something else with the call; the session, its model and what the
agent says meanwhile wait for the next one, which presents a token of its own. Never awaits.
"""

from __future__ import annotations

import json

from protos.gemini.models import ClientContent, known

PAUSE_NS = 1_500_000_000  # between two keys of one number; a slow finger takes about a second
ENDS = "#"  # by which callers say that a number is complete
_MAX_KEYS = 64


class LineDesk:
    """`token`: of the stream that is expected; empty: none is. `model`: by its name; empty: it is not told of
    keys."""

    __slots__ = ("_due_ns", "_keys", "_model", "token", "until_ns")

    def __init__(self, model: str) -> None:
        self.token = ""
        self.until_ns = 0
        self._model = model
        self._keys = ""
        self._due_ns = 0

    # -- a stream that comes back --

    def expect(self, token: str, until_ns: int) -> None:
        """The stream will leave, and another one come by `until_ns`."""
        self.token, self.until_ns = token, until_ns

    def expects(self, now_ns: int) -> bool:
        return bool(self.token) and now_ns < self.until_ns

    def came_back(self) -> None:
        self.token, self.until_ns = "", 0

    # -- keys --

    def pressed(self, key: str, now_ns: int) -> None:
        if not self._model or len(self._keys) >= _MAX_KEYS:
            return
        self._keys += key
        self._due_ns = now_ns if key == ENDS else now_ns + PAUSE_NS

    def due(self, now_ns: int) -> bytes | None:
        """The message that tells the model, once nothing more is pressed; asked several times a second."""
        if not self._keys or now_ns < self._due_ns:
            return None
        keys, self._keys = self._keys, ""
        return _told(f"[The caller pressed {keys} on the telephone's keypad.]", self._model)


def _told(text: str, model: str) -> bytes:
    """As a turn of the caller's where the model takes one at any time; else as text beside the audio."""
    found = known(model)
    if found is not None and found.client_content is ClientContent.ANY_TIME:
        turns = [{"role": "user", "parts": [{"text": text}]}]
        return json.dumps({"clientContent": {"turns": turns, "turnComplete": True}}).encode()
    return json.dumps({"realtimeInput": {"text": text}}).encode()
