"""Gemini Live's BidiGenerateContent, both directions, without I/O.

In: one frame is one JSON object, usually pretty-printed, that bundles any number of fields: read all of them.
`audio_shape` tells what frames look like that differ only in their audio, so that the frame kernel finds it
without parsing; `parse` reads every other frame, and every field this product uses. Field names follow
ProtoJSON (camelCase); unknown fields and bare `{}` mean nothing and are passed over.
Out: heads, tails and whole messages. Audio is base64 with the standard alphabet.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import orjson

from media_plane.errors import PeerError
from media_plane.wire.gemini_tools import ToolCall, canonical

MAX_MESSAGE = 16 * 1024 * 1024
AUDIO_TAIL = b'"}}}'
# The caller's turn, marked by the client: only with the service's own detection off.
ACTIVITY_START = b'{"realtimeInput":{"activityStart":{}}}'
ACTIVITY_END = b'{"realtimeInput":{"activityEnd":{}}}'
_DOWN_RATE = 24000
_PROBE = "+a/0="  # no text that an audio part could hold
_URL_SAFE = str.maketrans("-_", "+/")


def audio_head(rate: int) -> bytes:
    """What comes before the base64 of caller audio, 16-bit PCM at `rate` Hz; AUDIO_TAIL comes after it."""
    return b'{"realtimeInput":{"audio":{"mimeType":"audio/pcm;rate=%d","data":"' % rate


@dataclass(slots=True)
class ServerMessage:
    """Everything one frame said. `audio`: base64 of 24 kHz PCM as it came, one item a part, in order."""

    setup_complete: bool = False
    audio: list[str] = field(default_factory=list)
    input_text: str = ""  # delta of what the caller said
    output_text: str = ""  # delta of what the agent says
    interrupted: bool = False
    generation_complete: bool = False
    turn_complete: bool = False
    prompt_tokens: int = -1  # -1: the frame carries no usage
    response_tokens: int = -1
    go_away_ms: int = -1  # -1: no goAway
    resumption: str | None = None  # the new handle, empty: it can't be resumed now; None: no update
    consumed: int = -1  # messages of the client's that the handle includes; -1: not said
    tool_calls: list[ToolCall] = field(default_factory=list)
    tool_cancellations: list[str] = field(default_factory=list)  # ids of calls taken back


def audio_shape(data: bytes, message: ServerMessage) -> tuple[bytes, bytes] | None:
    """What lies before and after the audio in `data`, which parsed to `message`; None when it says anything
    more than one part of audio, or when the place can't be told.

    A frame's meaning depends on its bytes alone: one with the same bytes before and after its audio means
    the same but for the audio, provided that only base64 characters lie between (the decoder checks). Whether
    the place found is really the audio's is asked of `parse`: with another text put there, it must find that
    text and nothing else. (The same characters may stand in a field that is passed over.)
    """
    if not _only_audio(message) or not message.audio[0].isascii():
        return None
    at = data.find(b'"%b"' % message.audio[0].encode())
    if at < 0:
        return None  # written with escapes
    before, after = data[: at + 1], data[at + 1 + len(message.audio[0]) :]
    if b"\0" in before or parse(before + _PROBE.encode() + after) != ServerMessage(audio=[_PROBE]):
        return None
    return before, after


def _only_audio(message: ServerMessage) -> bool:
    return len(message.audio) == 1 and message == ServerMessage(audio=message.audio)


def parse(data: bytes) -> ServerMessage:
    """Any server frame.

    Raises:
        PeerError: not JSON, not an object, or a field this product uses has the wrong type.
    """
    try:
        frame = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise PeerError(f"frame is not JSON: {error.msg}") from None
    if not isinstance(frame, dict):
        raise PeerError("frame is not a JSON object")
    message = ServerMessage(setup_complete="setupComplete" in frame)
    content = _object(frame, "serverContent")
    if content:
        _read_content(content, message)
    usage = _object(frame, "usageMetadata")
    if usage:
        message.prompt_tokens = _count(usage, "promptTokenCount")
        message.response_tokens = _count(usage, "responseTokenCount")
    if "goAway" in frame:
        message.go_away_ms = _duration_ms(_object(frame, "goAway"), "timeLeft")
    if "sessionResumptionUpdate" in frame:
        update = _object(frame, "sessionResumptionUpdate")
        message.resumption = _text(update, "newHandle") if _flag(update, "resumable") else ""
        message.consumed = _index(update, "lastConsumedClientMessageIndex")
    for call in _list(_object(frame, "toolCall"), "functionCalls"):
        arguments = canonical(_object(call, "args"))
        message.tool_calls.append(ToolCall(_text(call, "id"), _text(call, "name"), arguments))
    message.tool_cancellations += _texts(_object(frame, "toolCallCancellation"), "ids")
    return message


def standard_base64(text: str) -> bytes:
    """`text` in the standard alphabet and padded: what the service sends is not promised to be either.

    Raises:
        PeerError: `text` is not ASCII.
    """
    text = text.translate(_URL_SAFE).rstrip("=")
    try:
        return (text + "=" * (-len(text) % 4)).encode("ascii")
    except UnicodeEncodeError:
        raise PeerError("inlineData.data is not base64") from None


def say(text: str) -> bytes:
    """Have the model speak first, saying `text`; it never does by itself."""
    return _ask(f'Greet the caller now. Say exactly: "{text}"')


def read_aloud(text: str) -> bytes:
    """Have the model say `text`, with nobody there."""
    return _ask(f'Say exactly, and nothing else: "{text}"')


def _ask(order: str) -> bytes:
    turns = [{"role": "user", "parts": [{"text": order}]}]
    return json.dumps({"clientContent": {"turns": turns, "turnComplete": True}}).encode()


def _read_content(content: dict[str, Any], message: ServerMessage) -> None:
    for part in _list(_object(content, "modelTurn"), "parts"):
        blob = _object(part, "inlineData")
        if blob and _is_audio(_text(blob, "mimeType")):
            message.audio.append(_text(blob, "data"))
    message.input_text = _text(_object(content, "inputTranscription"), "text")
    message.output_text = _text(_object(content, "outputTranscription"), "text")
    message.interrupted = _flag(content, "interrupted")
    message.generation_complete = _flag(content, "generationComplete")
    message.turn_complete = _flag(content, "turnComplete")


def _is_audio(mime_type: str) -> bool:
    """True for 24 kHz PCM. Other audio can't be played as if it were; anything else is none of ours."""
    kind, _, parameters = mime_type.partition(";")
    if kind.strip() != "audio/pcm":
        return False
    rate = parameters.strip().removeprefix("rate=")
    if rate not in ("", str(_DOWN_RATE)):
        raise PeerError(f"inlineData.mimeType is not at {_DOWN_RATE} Hz: {mime_type[:40]!r}")
    return True


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise PeerError(f"{name} is not an object")
    return value


def _list(parent: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = parent.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise PeerError(f"{name} is not a list of objects")
    return value


def _texts(parent: dict[str, Any], name: str) -> list[str]:
    value = parent.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise PeerError(f"{name} is not a list of strings")
    return value


def _text(parent: dict[str, Any], name: str) -> str:
    value = parent.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise PeerError(f"{name} is not a string")
    return value


def _flag(parent: dict[str, Any], name: str) -> bool:
    value = parent.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise PeerError(f"{name} is not true or false")
    return value


def _count(parent: dict[str, Any], name: str) -> int:
    value = parent.get(name)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise PeerError(f"{name} is not a count")
    return value


def _index(parent: dict[str, Any], name: str) -> int:
    """An int64, which ProtoJSON writes as a string; -1: it is not there."""
    value = parent.get(name)
    if value is None:
        return -1
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise PeerError(f"{name} is not a count")
    return int(text)


def _duration_ms(parent: dict[str, Any], name: str) -> int:
    """A protobuf duration, `"9.5s"`."""
    text = _text(parent, name)
    try:
        seconds = float(text.removesuffix("s")) if text else 0.0
    except ValueError:
        raise PeerError(f"{name} is not a duration") from None
    if not (text.endswith("s") or not text) or not 0 <= seconds < 1e6:
        raise PeerError(f"{name} is not a duration")
    return int(seconds * 1000)
