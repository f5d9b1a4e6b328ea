"""Twilio Media Streams, both directions, without I/O (messages: Twilio's "Media Streams - WebSocket
Messages").

In: `media_shape` tells what an ordinary media message looks like, so that the frame kernel finds its payload
without parsing JSON; everything of another shape goes through `parse`, which knows every message. Out:
`media_head`/`MEDIA_TAIL` enclose base64 μ-law, `mark` and `clear` are whole messages. Numbers such as
sequenceNumber are JSON strings on this wire.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from media_plane.errors import PeerError

MAX_MESSAGE = 64 * 1024  # Twilio's own media messages have about 350 bytes
MEDIA_TAIL = b'"}}'
DIGITS = b"\0"  # in a shape, for 1 to 19 decimal digits: no JSON text holds a NUL
_STREAM_SID = re.compile(r"[A-Za-z0-9]{2,64}\Z")


@dataclass(frozen=True, slots=True)
class Connected:
    """The socket's first message."""


@dataclass(frozen=True, slots=True)
class Start:
    """The stream's first message: from now on media may be sent to it."""

    stream_sid: str
    call_sid: str
    account_sid: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Media:
    """20 ms of the caller, usually; `payload` is base64 μ-law as it came, not decoded."""

    stream_sid: str
    payload: str


@dataclass(frozen=True, slots=True)
class Dtmf:
    stream_sid: str
    digit: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark of ours came back: played, or cleared."""

    stream_sid: str
    name: str


@dataclass(frozen=True, slots=True)
class Stop:
    stream_sid: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event this version of the protocol does not know; to be ignored."""

    event: str


Message = Connected | Start | Media | Dtmf | Mark | Stop | Unknown


def media_shape(stream_sid: str) -> tuple[bytes, bytes]:
    """What stands before and after the payload in one stream's media messages, as Twilio writes them.

    DIGITS stands for a number. In a message that begins and ends so, with nothing but base64 characters
    between (the decoder checks), `parse` would find the same payload.
    """
    before = (
        b'{"event":"media","sequenceNumber":"%b","streamSid":"%b","media":{"track":"inbound",'
        b'"chunk":"%b","timestamp":"%b","payload":"'
    )
    return before % (DIGITS, stream_sid.encode(), DIGITS, DIGITS), MEDIA_TAIL


def parse(data: bytes) -> Message:
    """Any message of Twilio's.

    Raises:
        PeerError: not JSON, not an object, or a field of a known event is missing or of the wrong kind.
    """
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise PeerError(f"message is not JSON: {error.msg}") from None
    if not isinstance(message, dict):
        raise PeerError("message is not a JSON object")
    event = _text(message, "event")
    read = _READERS.get(event)
    return Unknown(event[:64]) if read is None else read(message)


def media_head(stream_sid: str) -> bytes:
    return b'{"event":"media","streamSid":"%b","media":{"payload":"' % stream_sid.encode()


def mark(stream_sid: str, name: str) -> bytes:
    return b'{"event":"mark","streamSid":"%b","mark":{"name":"%b"}}' % (stream_sid.encode(), name.encode())


def clear(stream_sid: str) -> bytes:
    return b'{"event":"clear","streamSid":"%b"}' % stream_sid.encode()


def _text(message: dict[str, Any], name: str, where: str = "") -> str:
    value = message.get(name)
    if not isinstance(value, str):
        raise PeerError(f"{where}{name} is missing or not a string")
    return value


def _object(message: dict[str, Any], name: str) -> dict[str, Any]:
    value = message.get(name)
    if not isinstance(value, dict):
        raise PeerError(f"{name} is missing or not an object")
    return value


def _stream_sid(message: dict[str, Any]) -> str:
    sid = _text(message, "streamSid")
    if not _STREAM_SID.match(sid):
        raise PeerError("streamSid is not an identifier")
    return sid


def _start(message: dict[str, Any]) -> Start:
    start = _object(message, "start")
    audio = start.get("mediaFormat")
    if not isinstance(audio, dict):
        raise PeerError("start.mediaFormat is missing or not an object")
    if (audio.get("encoding"), audio.get("sampleRate"), audio.get("channels")) != ("audio/x-mulaw", 8000, 1):
        raise PeerError("start.mediaFormat is not audio/x-mulaw, 8000 Hz, 1 channel")
    parameters = start.get("customParameters", {})
    if not isinstance(parameters, dict) or not all(isinstance(value, str) for value in parameters.values()):
        raise PeerError("start.customParameters is not an object of strings")
    account = start.get("accountSid", "")
    return Start(
        stream_sid=_stream_sid(message),
        call_sid=_text(start, "callSid", "start."),
        account_sid=account if isinstance(account, str) else "",
        parameters=parameters,
    )


def _media(message: dict[str, Any]) -> Message:
    media = _object(message, "media")
    payload = _text(media, "payload", "media.")
    if media.get("track", "inbound") != "inbound":
        return Unknown("media on another track")
    return Media(_stream_sid(message), payload)


def _dtmf(message: dict[str, Any]) -> Dtmf:
    digit = _text(_object(message, "dtmf"), "digit", "dtmf.")
    if len(digit) != 1 or digit not in "0123456789*#ABCD":
        raise PeerError("dtmf.digit is not one of 0-9 * # A-D")
    return Dtmf(_stream_sid(message), digit)


def _mark(message: dict[str, Any]) -> Mark:
    return Mark(_stream_sid(message), _text(_object(message, "mark"), "name", "mark."))


_READERS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "connected": lambda message: Connected(),
    "start": _start,
    "media": _media,
    "dtmf": _dtmf,
    "mark": _mark,
    "stop": lambda message: Stop(_stream_sid(message)),
}
