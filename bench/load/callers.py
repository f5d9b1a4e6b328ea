"""Fake Twilio callers: each sends a 20 ms frame when told to and listens to what comes back."""

from __future__ import annotations

import json
from time import monotonic_ns
from typing import Final

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from bench.load import signal
from bench.load.leg import Leg

BURST_EVERY: Final = 10  # frames: 200 ms
_TEXT: Final = WSMsgType.TEXT
_PAYLOAD: Final = b'"payload"'
_QUIET: Final = [signal.ulaw_frame(seed) for seed in range(8)]
_BURSTS: Final = [signal.ulaw_frame(seed, burst=True) for seed in range(8)]


def opening(sid: str) -> list[bytes]:
    """`connected` and `start` of stream `sid`."""
    connected = {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    start = {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": sid,
        "start": {
            "accountSid": "AC" + "0" * 32,
            "streamSid": sid,
            "callSid": "CA" + sid[2:],
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {},
        },
    }
    return [json.dumps(message, separators=(",", ":")).encode() for message in (connected, start)]


def media(sid: str) -> bytes:
    """A `media` message of stream `sid`, to be filled with % (sequence, chunk, timestamp, payload)."""
    return (
        b'{"event":"media","sequenceNumber":"%d","streamSid":"'
        + sid.encode()
        + b'","media":{"track":"inbound","chunk":"%d","timestamp":"%d","payload":"%b"}}'
    )


class Caller(WSListener):
    """One Media Streams connection. Feeds `up` when sending, `down` when receiving."""

    def __init__(self, index: int, up: Leg, down: Leg) -> None:
        self._index = index
        self._up = up
        self._down = down
        self._sid = f"MZ{index:032x}"
        self._transport: WSTransport | None = None
        self._sequence = 1
        self._chunk = 0
        self._media = media(self._sid)
        self.connected = False
        self.closed = True  # until it is connected

    def begin(self, transport: WSTransport) -> None:
        """`connected` and `start`, as Twilio sends them; from now on `send_frame` sends."""
        for message in opening(self._sid):
            transport.send(WSMsgType.TEXT, message)
        self._transport = transport
        self.connected, self.closed = True, False

    def send_frame(self, now_ns: int) -> None:
        transport = self._transport
        if transport is None:
            return
        chunk = self._chunk
        self._chunk = chunk + 1
        self._sequence += 1
        # Spread over the calls, so that not all bursts of a period fall together.
        burst = (chunk + self._index) % BURST_EVERY == 0
        payload = (_BURSTS if burst else _QUIET)[chunk & 7]
        message = self._media % (self._sequence, chunk + 1, chunk * signal.FRAME_MS, payload)
        self._up.sent(now_ns, signal.FRAME_MS, burst)
        transport.send(_TEXT, message)

    def end(self) -> None:
        """`stop`, and the socket closed behind it."""
        transport, self._transport = self._transport, None
        if transport is None:
            return
        self._sequence += 1
        stop = {"event": "stop", "sequenceNumber": str(self._sequence), "streamSid": self._sid, "stop": {}}
        transport.send(_TEXT, json.dumps(stop))
        transport.send_close()
        # Not gracefully: what an overloaded system has not taken by now must not be waited for.
        transport.disconnect(graceful=transport.underlying_transport.get_write_buffer_size() == 0)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        now_ns = monotonic_ns()
        down = self._down
        if frame.payload_size == down.usual_size and not down.outstanding:
            down.passed(now_ns)
            return
        if frame.msg_type is not _TEXT:
            return
        message = frame.get_payload_as_bytes()
        key = message.find(_PAYLOAD)
        if key < 0:
            self._answer(transport, message)
            return
        start = message.index(b'"', key + len(_PAYLOAD)) + 1
        down.received(now_ns, message, start, message.index(b'"', start))

    def _answer(self, transport: WSTransport, message: bytes) -> None:
        """Return a mark at once: the model sends in real time, so little waits to be played before it."""
        event = json.loads(message)
        if event.get("event") == "mark":
            self._sequence += 1
            echo = {**event, "streamSid": self._sid, "sequenceNumber": str(self._sequence)}
            transport.send(WSMsgType.TEXT, json.dumps(echo, separators=(",", ":")))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self.closed = True
