"""A live CallSession between two legs that keep the audio written to them, and what should have been."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import numpy.typing as npt

from media_plane.dsp.codec import OFFSET, KernelCodecs
from media_plane.errors import PeerError
from media_plane.session import CallConfig, CallSession
from media_plane.wire import gemini, twilio

SID = "MZ00112233445566778899aabbccddeeff"
_MS = 1_000_000
_PLAIN = re.compile(r"[A-Za-z0-9+/_-]*")


class AudioLeg:
    """The audio it was sent, decoded by the standard library."""

    def __init__(self) -> None:
        self.congested = False
        self.audio = b""
        self.rates: set[str] = set()  # mime types the model was told
        self.closed = False

    def send(self, kind: object, buffer: bytearray, offset: int) -> None:
        self.send_text(bytes(buffer[offset:]))
        buffer[offset:] = bytes(len(buffer) - offset)  # as masking would

    def send_text(self, message: bytes) -> None:
        said = json.loads(message)
        if "realtimeInput" in said:
            blob = said["realtimeInput"]["audio"]
            self.audio += base64.b64decode(blob["data"], validate=True)
            self.rates.add(blob["mimeType"])
        elif said.get("event") == "media":
            assert said["streamSid"] == SID
            self.audio += base64.b64decode(said["media"]["payload"], validate=True)

    def close(self, code: int, reason: str) -> None:
        self.closed = True


class RecordedCall:
    """Both legs are there and audio may flow; 20 ms pass with every frame."""

    def __init__(self, codecs: KernelCodecs) -> None:
        self.model, self.caller = AudioLeg(), AudioLeg()
        self._now = 1000 * _MS
        self.session = CallSession(
            CallConfig("call-1", "", "gemini-test", 1 << 62),
            codecs,
            clock=lambda: self._now,
            emit=lambda _: None,
            ended=lambda _: None,
        )
        self.session.model_ready(self.model, 1, 1, self._now)
        self.session.attach_caller(self.caller)
        audio = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        start = {"event": "start", "streamSid": SID, "start": {"callSid": "CA1", "mediaFormat": audio}}
        self.from_caller(json.dumps(start).encode())

    def from_caller(self, data: bytes) -> None:
        self._now += 20 * _MS
        self.session.caller_frame(data, self._now)

    def from_model(self, data: bytes) -> None:
        self._now += 20 * _MS
        self.session.model_frame(data, self._now)


class FullParse:
    """What the full parsers, the standard library's base64 and one long run of the kernels make of frames.

    `ulaw`, `pcm24k`: all the audio that arrived; `errors`: frames that made no sense; `refused`: the message
    that closes Twilio's socket came. Audio too long for one kernel call is taken in pieces, up to the first
    that is not base64.
    """

    def __init__(self, codecs: KernelCodecs) -> None:
        self._codecs = codecs
        self._most = codecs.uplink(b"").max_chars, codecs.downlink().max_chars
        self.ulaw = b""
        self.pcm24k = b""
        self.errors = 0
        self.refused = False

    def from_caller(self, data: bytes) -> None:
        try:
            message = twilio.parse(data)
        except PeerError:
            self.refused = True
            return
        if isinstance(message, twilio.Start):
            self.refused = True
        elif isinstance(message, twilio.Media):
            if message.stream_sid != SID:
                self.errors += 1
                return
            audio, good = _pieces(message.payload, self._most[0])
            self.ulaw += audio
            self.errors += not good

    def from_model(self, data: bytes) -> None:
        try:
            parts = gemini.parse(data).audio
        except PeerError:
            self.errors += 1
            return
        for part in parts:
            audio, good = _pieces(part, self._most[1])
            self.pcm24k += audio
            if not good:
                self.errors += 1
                return

    def to_model(self) -> bytes:
        """16 kHz PCM."""
        up = self._codecs.uplink(b"")
        out = b""
        for i in range(0, len(self.ulaw), 1500):
            payload = base64.b64encode(self.ulaw[i : i + 1500])
            offset = up.encode(payload, 0, len(payload), 0) & OFFSET
            out += base64.b64decode(up.buffer[offset : -len(gemini.AUDIO_TAIL)], validate=True)
        return out

    def to_caller(self) -> bytes:
        """μ-law."""
        down = self._codecs.downlink()
        out = b""
        for i in range(0, len(self.pcm24k), 24_000):
            payload = base64.b64encode(self.pcm24k[i : i + 24_000])
            out += down.ulaw(down.decode(payload, 0, len(payload)) >> 32)
        return out


def _pieces(text: str, most: int) -> tuple[bytes, bool]:
    """The bytes before the first piece that is not base64, and whether there is none such."""
    text = text.rstrip("=")
    if not text.isascii():
        return b"", False
    audio = b""
    padded = text + "=" * (-len(text) % 4)
    for i in range(0, len(padded), most):
        piece = padded[i : i + most]
        plain = piece.rstrip("=")
        if not _PLAIN.fullmatch(plain) or len(plain) % 4 == 1:
            return audio, False
        audio += base64.urlsafe_b64decode(piece.replace("+", "-").replace("/", "_"))
    return audio, True


def noise(seed: int, length: int) -> bytes:
    data: npt.NDArray[np.uint8] = np.random.default_rng(seed).integers(0, 256, length, np.uint8)
    return data.tobytes()
