"""Messages of a bidirectional media stream: what Twilio sends, and what it accepts.

`StreamMessages` writes them with Twilio's counters (`sequenceNumber`, `chunk`, `timestamp` are decimal
strings, counted from "1" at `start`); `parse` reads what a media server sent, as strictly as Twilio does.
The bytes are held to `protos/golden/twilio/`. Source: Twilio's Media Streams WebSocket message reference.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

CONNECTED = b'{"event":"connected","protocol":"Call","version":"1.0.0"}'


class InvalidMessage(Exception):
    """A message Twilio would ignore and count as warning 31951; the text names the field."""


@dataclass(frozen=True, slots=True)
class Media:
    """Audio to play: μ-law, any number of bytes."""

    ulaw: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """To be echoed once everything queued before it has been played."""

    name: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Empty the buffer."""


FromServer = Media | Mark | Clear


class StreamMessages:
    """The messages of one stream, in order; every call numbers the message it returns."""

    def __init__(self, account_sid: str, call_sid: str, stream_sid: str) -> None:
        self._account_sid = account_sid
        self._call_sid = call_sid
        self._stream_sid = stream_sid
        self._sequence = 0
        self.chunks = 0  # media messages so far

    def start(self, parameters: Mapping[str, str]) -> bytes:
        """Announces the stream; `parameters` are the TwiML's `<Parameter>`s."""
        return self._message(
            "start",
            {
                "accountSid": self._account_sid,
                "streamSid": self._stream_sid,
                "callSid": self._call_sid,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": dict(parameters),
            },
        )

    def media(self, ulaw: bytes, timestamp_ms: int) -> bytes:
        """`ulaw`: 160 bytes (20 ms). `timestamp_ms`: presentation time since the stream's start."""
        self._sequence += 1
        self.chunks += 1
        return (
            b'{"event":"media","sequenceNumber":"%d","streamSid":"%b","media":{"track":"inbound","chunk":"%d",'
            b'"timestamp":"%d","payload":"%b"}}'
            % (
                self._sequence,
                self._stream_sid.encode(),
                self.chunks,
                timestamp_ms,
                binascii.b2a_base64(ulaw, newline=False),
            )
        )

    def dtmf(self, digit: str) -> bytes:
        """One key pressed by the caller."""
        return self._message("dtmf", {"track": "inbound_track", "digit": digit})

    def mark(self, name: str) -> bytes:
        """The echo of a mark."""
        return self._message("mark", {"name": name})

    def stop(self) -> bytes:
        """The last message of a stream that Twilio ends."""
        return self._message("stop", {"accountSid": self._account_sid, "callSid": self._call_sid})

    def unknown(self) -> bytes:
        """A message of a kind that no media server knows yet."""
        return self._message("weather", {"forecast": "unknown events are to be ignored"})

    def _message(self, event: str, body: Mapping[str, Any]) -> bytes:
        self._sequence += 1
        return json.dumps(
            {
                "event": event,
                "sequenceNumber": str(self._sequence),
                "streamSid": self._stream_sid,
                event: body,
            },
            separators=(",", ":"),
        ).encode()


def parse(data: bytes, stream_sid: str) -> FromServer:
    """One text message from the media server. Raises `InvalidMessage`."""
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise InvalidMessage(f"not JSON: {error}") from None
    if not isinstance(message, dict):
        raise InvalidMessage("not a JSON object")
    event = message.get("event")
    if event not in ("media", "mark", "clear"):
        raise InvalidMessage(f"event: {event!r} is none of media, mark, clear")
    expected = {"event", "streamSid"} if event == "clear" else {"event", "streamSid", event}
    if message.keys() != expected:
        odd = sorted(message.keys() ^ expected)
        raise InvalidMessage(f"{event}: missing or extra field {', '.join(odd)}")
    if message["streamSid"] != stream_sid:
        raise InvalidMessage(f"streamSid: {message['streamSid']!r} is not this stream's")
    if event == "clear":
        return Clear()
    body = message[event]
    wanted = "payload" if event == "media" else "name"
    if not isinstance(body, dict) or body.keys() != {wanted}:
        raise InvalidMessage(f"{event}: must hold exactly {wanted}")
    value = body[wanted]
    if not isinstance(value, str) or not value:
        raise InvalidMessage(f"{event}.{wanted}: must be a non-empty string")
    if event == "mark":
        return Mark(value)
    try:
        return Media(binascii.a2b_base64(value, strict_mode=True))
    except binascii.Error as error:
        raise InvalidMessage(f"media.payload: {error}") from None
