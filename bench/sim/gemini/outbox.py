"""Collects what a session wants done, and writes its log lines."""

from __future__ import annotations

from typing import Any

from bench.sim.gemini.actions import Action, Note, Send


class Outbox:
    """Actions in order, until the driver takes them."""

    def __init__(self) -> None:
        self._actions: list[Action] = []
        self.muted = False  # the server has fallen silent: frames are dropped, and the log says so

    def take(self) -> list[Action]:
        """What is to be done, in order; the caller owns the list."""
        actions, self._actions = self._actions, []
        return actions

    def do(self, action: Action) -> None:
        """Ask for anything but a frame."""
        self._actions.append(action)

    def note(self, t_ns: int, kind: str, direction: str = "=", *, past: bool = False, **fields: Any) -> None:
        """Log something. `past`: `t_ns` is an earlier moment than now."""
        self._actions.append(Note(t_ns, direction, kind, fields, past or direction == "<"))

    def send(self, frame: dict[str, Any], now_ns: int) -> None:
        """Send a frame and log it."""
        kind, fields = describe(frame)
        note = Note(now_ns, "x" if self.muted else ">", kind, fields)
        self._actions.append(note if self.muted else Send(frame, note))


def describe(frame: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A server frame as a log line: its kind, and what it holds, audio as a count of PCM bytes."""
    kind = next((name for name in frame if name != "usageMetadata"), "usageMetadata" if frame else "{}")
    if kind != "serverContent":
        return kind, {"body": frame[kind]} if kind in frame and kind != "{}" else {}
    content = frame["serverContent"]
    fields: dict[str, Any] = {}
    for name, value in content.items():
        if name == "modelTurn":
            data = [part["inlineData"]["data"] for part in value["parts"] if "inlineData" in part]
            fields["audio_bytes"] = sum(len(text) * 3 // 4 - text.count("=", -2) for text in data)
            fields["parts"] = len(data)
        elif name in ("inputTranscription", "outputTranscription", "interimInputTranscription"):
            fields[name] = value["text"]
        else:
            fields[name] = value
    if "usageMetadata" in frame:
        fields["tokens"] = frame["usageMetadata"]["totalTokenCount"]
    return kind, fields
