"""The product without sockets, as the bench calls it: its codec alone, and a session between null legs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from bench.load import signal
from bench.load.callers import opening
from media_plane.dsp.codec import SHAPED, KernelCodecs
from media_plane.session import CallConfig, CallSession
from media_plane.wire import gemini, twilio

Frame = Callable[[], object]
_NS: Final = 1_000_000
_MARKS_KEPT: Final = 8  # until they are returned; a session that is only timed returns none
_WORDS_EVERY: Final = 25  # chunks: once a second
_TURN_EVERY: Final = 250  # chunks: every ten seconds


def _content(**content: object) -> bytes:
    return json.dumps({"serverContent": content}, indent=2).encode()


_WORDS: Final = _content(outputTranscription={"text": " and so it goes on"})
_TURN_OVER: Final = (_content(generationComplete=True), _content(turnComplete=True))


def codec(sid: str, caller: bytes, model: bytes) -> tuple[Frame, Frame]:
    """(up, down): one fused kernel call each, message in, message out."""
    codecs = KernelCodecs()
    up, down = codecs.uplink(gemini.audio_head(codecs.uplink_rate)), codecs.downlink()
    up.expect(*twilio.media_shape(sid))
    down.address(twilio.media_head(sid))
    shape = gemini.audio_shape(model, gemini.parse(model))
    if shape is not None:
        down.expect(*shape)
    encode, decode = up.encode, down.decode
    if encode(caller, SHAPED, 0, 0) <= 0 or decode(model, SHAPED, 0) <= 0:
        raise RuntimeError("the product's codec declines the load's messages")
    return lambda: encode(caller, SHAPED, 0, 0), lambda: decode(model, SHAPED, 0)


class _NullLeg:
    congested = False

    def __init__(self) -> None:
        self.sent = 0
        self.told: list[bytes] = []

    def send(self, kind: object, buffer: bytearray, offset: int) -> None:
        self.sent += 1

    def send_text(self, message: bytes) -> None:
        if len(self.told) < _MARKS_KEPT:
            self.told.append(message)

    def close(self, code: int, reason: str) -> None:
        pass


class Session:
    """A live CallSession. Its clock goes on by each frame's length, so that it lives in real time.

    `up` and `down` are one frame each way. `lived_up` and `lived_down` are the same within a call's life:
    every mark is returned, and the model's transcripts and turns come once a second and every ten seconds.
    """

    def __init__(self, sid: str, caller: bytes, model: bytes) -> None:
        self._now = _NS
        self._sid = sid
        self._caller, self._model = caller, model
        self._chunks = 0
        config = CallConfig("call-bench", "", "gemini", 1 << 62)
        self._session = CallSession(
            config, KernelCodecs(), clock=lambda: self._now, emit=lambda _: None, ended=lambda _: None
        )
        self._to_model, self._to_caller = _NullLeg(), _NullLeg()
        self._session.model_ready(self._to_model, 1, 1, self._now)
        self._session.attach_caller(self._to_caller)
        for message in opening(sid):
            self._session.caller_frame(message, self._now)
        for _ in range(2):  # the first audio frame of a shape takes the slow road
            self.up()
            self.down()
        if (self._to_model.sent, self._to_caller.sent) != (2, 2):
            raise RuntimeError("the product's session does not pass the load's messages on")

    def up(self) -> None:
        self._now += signal.FRAME_MS * _NS
        self._session.caller_frame(self._caller, self._now)

    def down(self) -> None:
        self._now += signal.CHUNK_MS * _NS
        self._session.model_frame(self._model, self._now)

    def lived_up(self) -> None:
        self.up()
        self._session.tick(self._now)

    def lived_down(self) -> None:
        self.down()
        self._chunks += 1
        if self._chunks % _WORDS_EVERY == 0:
            self._session.model_frame(_WORDS, self._now)
        if self._chunks % _TURN_EVERY == 0:
            for message in _TURN_OVER:
                self._session.model_frame(message, self._now)
        self._return_marks()
        self._session.tick(self._now)

    def _return_marks(self) -> None:
        told, self._to_caller.told = self._to_caller.told, []
        for message in told:
            event = json.loads(message)
            if event["event"] == "mark":
                self._session.caller_frame(json.dumps(event | {"sequenceNumber": "1"}).encode(), self._now)
