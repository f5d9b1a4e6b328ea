"""Frames to messages and back, independent of any other codec in the project.

In: text or binary frames of one JSON object. Out: pretty-printed UTF-8 JSON (two spaces, a newline at the
end), which the real service sends in binary frames.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import orjson

from bench.sim.gemini import schema
from bench.sim.gemini.errors import Refused

_STANDARD_ALPHABET: Final = bytes.maketrans(b"-_", b"+/")
_DEFAULT_RATE: Final = 16_000  # "audio/pcm" without a rate


@dataclass(frozen=True, slots=True)
class Blob:
    """Media as received: `data` decoded."""

    mime_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ClientMessage:
    """One client frame. `kind` is its only top-level field in lowerCamelCase, `body` that field's value with
    lowerCamelCase keys (see schema.py)."""

    kind: str
    body: dict[str, Any]


def decode(frame: bytes | str) -> ClientMessage:
    """Read one client frame. Raises Refused with the service's code and words."""
    try:
        parsed = orjson.loads(frame)
    except orjson.JSONDecodeError:
        raise Refused(1007, "Invalid JSON payload received. Unexpected token.") from None
    message = schema.read(parsed)
    if len(message) != 1:
        raise Refused(1007, "Request contains an invalid argument.")
    ((kind, body),) = message.items()
    return ClientMessage(kind, body)


def read_blob(blob: dict[str, Any], path: str) -> Blob:
    """Decode a Blob's base64: either alphabet, with or without padding. `path` is for the refusal."""
    text: str = blob.get("data", "")
    try:
        data = text.encode("ascii").translate(_STANDARD_ALPHABET).rstrip(b"=")
        return Blob(
            blob.get("mimeType", ""), binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)
        )
    except (UnicodeEncodeError, binascii.Error):
        raise Refused(
            1007, f"Invalid value at '{path}.data' (TYPE_BYTES), Base64 decoding failed for \"{text[:20]}\""
        ) from None


@lru_cache(maxsize=64)
def pcm_rate(mime_type: str) -> int:
    """The rate of `audio/pcm;rate=N` in Hz. Raises Refused for any other type, and outside 8–48 kHz."""
    name, *parameters = (piece.strip() for piece in mime_type.split(";"))
    rate = _DEFAULT_RATE
    if name.lower() == "audio/pcm":
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.lower() == "rate" and value.isdecimal():
                rate = int(value)
        if 8_000 <= rate <= 48_000:
            return rate
    raise Refused(1007, f"Unsupported audio mime type: {mime_type}")


def encode(frame: dict[str, Any]) -> bytes:
    """One server frame as the service writes it."""
    return orjson.dumps(frame, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def inline_audio(pcm24k: bytes) -> dict[str, Any]:
    """A model part carrying int16 little-endian mono PCM at 24 kHz."""
    data = binascii.b2a_base64(pcm24k, newline=False).decode("ascii")
    return {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": data}}
