"""The ceiling: two picows sockets per call and one fused kernel each way, nothing else.

Only a yardstick: no tokens, no transcripts, no marks, no metrics, one message shape and length each way. Each
direction's first message only teaches where its audio lies.
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

_TEXT: Final = WSMsgType.TEXT
_MODEL_HEAD: Final = b'{"realtimeInput":{"audio":{"mimeType":"audio/pcm;rate=16000","data":"'
_MODEL_TAIL: Final = b'"}}}'
_PHONE_TAIL: Final = b'"}}'
_PAYLOAD: Final = b'"payload":"'
_DATA: Final = b'"data": "'


class Phone(WSListener):
    def __init__(self, key: str, gemini: str) -> None:
        self._key = key
        self._gemini = gemini
        self._up = kernels.Up(_MODEL_HEAD, _MODEL_TAIL)
        self._from_end = 0  # where the payload starts, counted from the end: what comes before it grows
        self._dialing: asyncio.Task[None] | None = None
        self.transport: WSTransport | None = None
        self.model: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        raw = frame.get_payload_as_bytes()
        at = len(raw) - self._from_end
        if raw[at - 11 : at] != _PAYLOAD:
            self._other(transport, frame, raw)
        elif self.model is not None:
            self.model.send_reuse_external_bytearray(_TEXT, self._up.fill(raw, at), kernels.ROOM)

    def _other(self, transport: WSTransport, frame: WSFrame, raw: bytes) -> None:
        at = raw.find(_PAYLOAD) + len(_PAYLOAD)
        if at >= len(_PAYLOAD):
            self._from_end = len(raw) - at
        elif frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()
        elif b'"start"' in raw:
            self._dialing = asyncio.create_task(self._dial(json.loads(raw)["streamSid"]))

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
        transport.send(_TEXT, json.dumps(setup))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self.model is not None:
            self.model.send_close()
            self.model.disconnect()
        self.transport = self.model = None


class Model(WSListener):
    def __init__(self, phone: Phone, sid: str) -> None:
        self._phone = phone
        head = b'{"event":"media","streamSid":"' + sid.encode() + b'","media":{"payload":"'
        self._down = kernels.Down(head, _PHONE_TAIL)
        self._audio_at = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        raw = frame.get_payload_as_bytes()
        at = self._audio_at
        if raw[at - 9 : at] != _DATA:
            self._other(transport, raw)
        elif (phone := self._phone.transport) is not None:
            phone.send_reuse_external_bytearray(_TEXT, self._down.fill(raw, at), kernels.ROOM)

    def _other(self, transport: WSTransport, raw: bytes) -> None:
        at = raw.find(_DATA) + len(_DATA)
        if at >= len(_DATA):
            self._audio_at = at
        elif b'"setupComplete"' in raw:
            self._phone.model = transport


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
