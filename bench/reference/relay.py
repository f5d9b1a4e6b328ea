"""The ceiling: two picows sockets per call and one fused kernel each way, nothing else.

Only a yardstick: no tokens, no transcripts, no marks, no metrics, one message shape each way.
`python -m bench.reference.relay` serves `/twilio/ws/media/{key}` on a free port and dials GEMINI_BASE_URL,
naming the call `bench-call:{key}`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
from typing import Final

import numpy as np
import uvloop
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_connect,
    ws_create_server,
)

from bench.load.models import prompt
from bench.load.process import say_ready
from bench.reference import kernels

ROOM: Final = 14  # bytes picows wants free before a message for the frame's header
MODEL_HEAD: Final = b'{"realtimeInput":{"audio":{"mimeType":"audio/pcm;rate=16000","data":"'
MODEL_TAIL: Final = b'"}}}'
PHONE_TAIL: Final = b'"}}'


class Message:
    """A message that differs only in its audio, in a buffer used again and again."""

    def __init__(self, head: bytes, tail: bytes, encoded: int) -> None:
        self._head = head
        self._tail = tail
        self.buffer = bytearray(ROOM + len(head) + encoded + len(tail))  # picows sends whole buffers
        self.view = np.frombuffer(self.buffer, np.uint8)
        self.audio_at = ROOM + len(head)
        self.encoded = encoded

    def send(self, transport: WSTransport) -> None:
        # A client's frames are masked in place, so head and tail are written each time.
        self.buffer[ROOM : self.audio_at] = self._head
        self.buffer[-len(self._tail) :] = self._tail
        transport.send_reuse_external_bytearray(WSMsgType.TEXT, self.buffer, ROOM)


class Phone(WSListener):
    def __init__(self, key: str, gemini: str) -> None:
        self._key = key
        self._gemini = gemini
        self._up = kernels.Up()
        self._message = Message(MODEL_HEAD, MODEL_TAIL, 856)  # 20 ms at 16 kHz
        self._dialing: asyncio.Task[None] | None = None
        self.transport: WSTransport | None = None
        self.model: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        raw = frame.get_payload_as_bytes()
        at = raw.find(b'"payload":"')
        if at < 0:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.disconnect()
            elif b'"start"' in raw:
                sid = json.loads(raw)["streamSid"]
                self._dialing = asyncio.create_task(self._dial(sid))
            return
        if self.model is None:
            return
        message = self._message
        payload = raw[at + 11 : raw.index(b'"', at + 11)]
        end = self._up.into(payload, message.view, message.audio_at)
        assert end == message.audio_at + message.encoded, "the load sends 20 ms frames"
        message.send(self.model)

    async def _dial(self, sid: str) -> None:
        transport, _ = await ws_connect(
            lambda: Model(self, sid), self._gemini + "/ws/relay", max_frame_size=1 << 20
        )
        setup = {
            "setup": {
                "model": "models/gemini-3.8-live",
                "systemInstruction": {"parts": [{"text": prompt(self._key)}]},
            }
        }
        transport.send(WSMsgType.TEXT, json.dumps(setup))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self.model is not None:
            self.model.send_close()
            self.model.disconnect()
        self.transport = self.model = None


class Model(WSListener):
    def __init__(self, phone: Phone, sid: str) -> None:
        self._phone = phone
        self._down = kernels.Down()
        head = b'{"event":"media","streamSid":"' + sid.encode() + b'","media":{"payload":"'
        self._message = Message(head, PHONE_TAIL, 428)  # 40 ms at 8 kHz

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        raw = frame.get_payload_as_bytes()
        at = raw.find(b'"data": "')
        if at < 0:
            if b'"setupComplete"' in raw:
                self._phone.model = transport
            return
        if self._phone.transport is None:
            return
        message = self._message
        payload = raw[at + 9 : raw.index(b'"', at + 9)]
        end = self._down.into(payload, message.view, message.audio_at)
        assert end == message.audio_at + message.encoded, "the load's model sends 40 ms chunks"
        message.send(self._phone.transport)


async def main() -> None:
    gemini = os.environ["GEMINI_BASE_URL"].replace("http://", "ws://", 1)
    kernels.warm_up()

    def listener(request: WSUpgradeRequest) -> WSListener:
        return Phone(request.path.decode().rsplit("/", 1)[-1], gemini)

    server = await ws_create_server(listener, "127.0.0.1", 0, max_frame_size=1 << 20)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    gc.collect()
    gc.freeze()
    say_ready(ws=f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(main())
