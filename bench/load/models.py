"""A fake Gemini Live server whose models talk all the time, in real time.

Each session says which call it belongs to by `bench-call:KEY` in its system instruction. It starts to talk
when the first audio reaches it: by then the telephone stream is up, and nothing it says has to be held.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from time import monotonic_ns
from typing import Final

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest

from bench.load import signal
from bench.load.leg import Leg

BURST_EVERY: Final = 5  # chunks: 200 ms
WORDS_EVERY: Final = 25  # chunks: a transcript delta each second
TURN_EVERY: Final = 250  # chunks: a turn ends every ten seconds, and the next begins
FindLegs = Callable[[str], tuple[int, Leg, Leg]]  # call's key -> its number, up, down
_BINARY: Final = WSMsgType.BINARY
_DATA: Final = b'"data"'
_KEY: Final = re.compile(rb"bench-call:([\w.-]+)")


def prompt(key: str) -> str:
    """The system instruction by which a session is known to belong to call `key`."""
    return f"bench-call:{key}"


def _frame(content: dict[str, object]) -> bytes:
    """Pretty-printed, as the real service sends."""
    return json.dumps(content, indent=2).encode()


def speech(data: bytes) -> bytes:
    """The frame of one audio part; `data`: base64 of PCM at 24 kHz."""
    blob = {"mimeType": "audio/pcm;rate=24000", "data": data.decode()}
    return _frame({"serverContent": {"modelTurn": {"role": "model", "parts": [{"inlineData": blob}]}}})


_QUIET: Final = [speech(signal.pcm_chunk(seed)) for seed in range(8)]
_BURSTS: Final = [speech(signal.pcm_chunk(seed, burst=True)) for seed in range(8)]
_SETUP_COMPLETE: Final = _frame({"setupComplete": {}})
_WORDS: Final = _frame({"serverContent": {"outputTranscription": {"text": " and so it goes on"}}})
_GENERATED: Final = _frame({"serverContent": {"generationComplete": True}})
_TURN: Final = _frame(
    {
        "serverContent": {"turnComplete": True},
        "usageMetadata": {"promptTokenCount": 310, "responseTokenCount": 250, "totalTokenCount": 560},
    }
)


class Model(WSListener):
    """One session. Feeds `up` when receiving, `down` when sending."""

    def __init__(self, legs: FindLegs, opened: Callable[[str, Model], None]) -> None:
        self._legs = legs
        self._opened = opened
        self._transport: WSTransport | None = None
        self._up: Leg | None = None
        self._down: Leg | None = None
        self._index = 0
        self._chunk = 0
        self._talking = False
        self.closed = False

    def send_chunk(self, now_ns: int) -> None:
        transport, down = self._transport, self._down
        if transport is None or down is None or not self._talking:
            return
        chunk = self._chunk
        self._chunk = chunk + 1
        burst = (chunk + self._index) % BURST_EVERY == 0
        message = (_BURSTS if burst else _QUIET)[chunk & 7]
        down.sent(now_ns, signal.CHUNK_MS, burst)
        transport.send(_BINARY, message)
        # Each call's words and turns fall on chunks of their own.
        turn = (chunk + self._index * 7) % TURN_EVERY
        if turn % WORDS_EVERY == 0:
            transport.send(_BINARY, _WORDS)
            if turn == 0:
                transport.send(_BINARY, _GENERATED)
                transport.send(_BINARY, _TURN)

    def abort(self) -> None:
        """Whoever dialed has not hung up though its call is over."""
        if self._transport is not None:
            self._transport.disconnect(graceful=False)

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        now_ns = monotonic_ns()
        up = self._up
        if up is not None and frame.payload_size == up.usual_size and not up.outstanding:
            up.passed(now_ns)
            return
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
            return
        message = frame.get_payload_as_bytes()
        if up is None:
            self._set_up(transport, message)
            return
        key = message.find(_DATA)
        if key < 0:
            return
        start = message.index(b'"', key + len(_DATA)) + 1
        up.received(now_ns, message, start, message.index(b'"', start))
        self._talking = True

    def _set_up(self, transport: WSTransport, message: bytes) -> None:
        found = _KEY.search(message)
        if found is None or b'"setup"' not in message:
            transport.send_close()
            transport.disconnect()
            return
        key = found.group(1).decode()
        self._index, self._up, self._down = self._legs(key)
        self._opened(key, self)
        transport.send(_BINARY, _SETUP_COMPLETE)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self.closed = True


def listener(
    legs: FindLegs, opened: Callable[[str, Model], None]
) -> Callable[[WSUpgradeRequest], WSListener]:
    """For picows' ws_create_server: any path is a session, whatever API version it names."""
    return lambda _request: Model(legs, opened)
