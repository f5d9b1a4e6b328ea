"""The product without sockets, as the bench calls it: its codec alone, and a session between null legs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bench.load import signal
from bench.load.callers import opening
from media_plane.dsp.codec import KernelCodecs
from media_plane.session import CallConfig, CallSession
from media_plane.wire import gemini, twilio

Frame = Callable[[], object]
_NS: Final = 1_000_000


def codec(sid: str, caller: tuple[bytes, int, int], model: tuple[bytes, int, int]) -> tuple[Frame, Frame]:
    """(up, down): one fused kernel call each. `caller`, `model`: a message and the place of its base64."""
    codecs = KernelCodecs()
    up, down = codecs.uplink(gemini.AUDIO_HEAD), codecs.downlink()
    down.address(twilio.media_head(sid))
    encode, decode = up.encode, down.decode
    if encode(*caller) <= 0 or decode(*model) <= 0:
        raise RuntimeError("the product's codec declines the load's messages")
    return lambda: encode(*caller), lambda: decode(*model)


class _NullLeg:
    congested = False

    def __init__(self) -> None:
        self.sent = 0

    def send(self, buffer: bytearray, offset: int) -> None:
        self.sent += 1

    def send_text(self, message: bytes) -> None:
        pass

    def close(self, code: int, reason: str) -> None:
        pass


class Session:
    """A live CallSession. Its clock goes on by each frame's length, so that it lives in real time."""

    def __init__(self, sid: str, caller: bytes, model: bytes) -> None:
        self._now = _NS
        self._caller, self._model = caller, model
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
