"""A CallSession between two recorded legs, in virtual time."""

from __future__ import annotations

import base64
import gc
import json
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from media_plane.dsp.codec import KernelCodecs
from media_plane.session import CallConfig, CallSession
from media_plane.wire.events import Body, CallEvent

MS = 1_000_000
SID = "MZ00112233445566778899aabbccddeeff"
CODECS = KernelCodecs()
_B = TypeVar("_B", bound=Body)


class RecordedLeg:
    """What was written to it, parsed."""

    def __init__(self) -> None:
        self.congested = False
        self.sent: list[dict[str, Any]] = []
        self.closed: tuple[int, str] | None = None

    def send(self, kind: object, buffer: bytearray, offset: int) -> None:
        self.sent.append(json.loads(buffer[offset:]))
        buffer[offset:] = bytes(len(buffer) - offset)  # as masking would

    def send_text(self, message: bytes) -> None:
        self.sent.append(json.loads(message))

    def close(self, code: int, reason: str) -> None:
        self.closed = (int(code), reason)


class Scene:
    """A call; time is ms and moves only when a method is told so."""

    def __init__(
        self, greeting: str = "", *, ready: bool = True, started: bool = True, **config: Any
    ) -> None:
        self.at_ms = 1000
        self.model, self.caller = RecordedLeg(), RecordedLeg()
        self.events: list[CallEvent] = []
        self.ended: list[CallSession] = []
        self.session = self._make(greeting, config)
        self._sequence = 0
        if ready:
            self.ready()
        if started:
            self.start()

    def _make(self, greeting: str, config: dict[str, Any]) -> CallSession:
        return CallSession(
            CallConfig("call-1", greeting, "gemini-test", 180_000 * MS, **config),
            CODECS,
            clock=lambda: self.now,
            emit=self.events.append,
            ended=self.ended.append,
        )

    @property
    def now(self) -> int:
        return self.at_ms * MS

    def ready(self) -> None:
        self.session.model_ready(self.model, 12, 345, self.now)

    def attach(self) -> None:
        self.session.attach_caller(self.caller)

    def start(self) -> None:
        self.attach()
        self.twilio(event="connected", protocol="Call", version="1.0.0")
        audio = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        self.twilio(event="start", streamSid=SID, start={"callSid": "CA1", "mediaFormat": audio})

    def twilio(self, **message: Any) -> None:
        self.session.caller_frame(json.dumps(message, separators=(",", ":")).encode(), self.now)

    def media(self, ulaw: bytes = b"\xff" * 160, **changes: Any) -> None:
        self._sequence += 1
        media = {
            "track": "inbound",
            "chunk": str(self._sequence),
            "timestamp": str(self._sequence * 20),
            "payload": base64.b64encode(ulaw).decode(),
        }
        self.twilio(
            **{"event": "media", "sequenceNumber": str(self._sequence), "streamSid": SID, "media": media}
            | changes
        )

    def gemini(self, message: object) -> None:
        self.session.model_frame(json.dumps(message, indent=2).encode(), self.now)

    def content(self, **fields: object) -> None:
        self.gemini({"serverContent": fields})

    def speak(self, ms: int, value: int = 1000, **beside: object) -> None:
        """The model says `ms` of a constant."""
        data = base64.b64encode(np.full(24 * ms, value, "<i2").tobytes()).decode()
        part = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": data}}
        self.content(modelTurn={"parts": [part]}, **beside)

    def tick(self, ms: int) -> None:
        self.at_ms += ms
        self.session.tick(self.now)

    def of(self, kind: type[_B]) -> list[_B]:
        return [event.body for event in self.events if isinstance(event.body, kind)]

    @property
    def sent_up(self) -> bytes:
        """The PCM the model was sent."""
        frames = [
            message["realtimeInput"]["audio"]["data"]
            for message in self.model.sent
            if "realtimeInput" in message
        ]
        return b"".join(base64.b64decode(data) for data in frames)

    @property
    def played(self) -> bytes:
        """The μ-law the caller was sent."""
        return b"".join(
            base64.b64decode(m["media"]["payload"]) for m in self.caller.sent if m["event"] == "media"
        )

    def told(self) -> list[str]:
        return [type(event.body).__name__ for event in self.events]


def untie(session: CallSession) -> None:
    """Let go of the scene's clock, with which a session that is over would hold its scene."""
    session._clock = session._agent._clock = session._voice._clock = int


def sessions_left_by(live: Callable[[], None]) -> int:
    """How many sessions `live` leaves for the garbage collector."""

    def sessions() -> int:
        return sum(type(each) is CallSession for each in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = sessions()
        live()
        return sessions() - before
    finally:
        gc.enable()
