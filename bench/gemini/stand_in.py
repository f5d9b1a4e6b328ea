"""`python -m bench.gemini.stand_in`: a Gemini Live server that costs next to nothing, for thousands of calls.

It answers a setup with setupComplete and a request to speak with one second of tone, and says on standard
input's request how many sockets are open. On the wire it is what the simulator is, without a conversation.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import struct
import sys
from typing import Final

import uvloop
from picows import (
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

from bench.load.process import say_ready

_RATE: Final = 24_000
_PCM: Final = b"".join(
    struct.pack("<h", int(8000 * math.sin(2 * math.pi * 440 * at / _RATE))) for at in range(_RATE // 5)
)


def _frame(content: dict[str, object]) -> bytes:
    return json.dumps(content, indent=2).encode()


_BLOB: Final = {"mimeType": "audio/pcm;rate=24000", "data": base64.b64encode(_PCM).decode()}
_AUDIO: Final = _frame({"serverContent": {"modelTurn": {"role": "model", "parts": [{"inlineData": _BLOB}]}}})
_GREETING: Final = [
    *[_AUDIO] * 5,
    _frame({"serverContent": {"outputTranscription": {"text": "Hello there."}}}),
    _frame({"serverContent": {"generationComplete": True}}),
    _frame(
        {
            "serverContent": {"turnComplete": True},
            "usageMetadata": {"promptTokenCount": 40, "responseTokenCount": 25},
        }
    ),
]
_SETUP_COMPLETE: Final = _frame({"setupComplete": {}})
_HANDLE: Final = _frame({"sessionResumptionUpdate": {"newHandle": "handle", "resumable": True}})


class Model(WSListener):
    """One socket."""

    open = 0  # now, of all
    opened = 0  # ever

    def on_ws_connected(self, transport: WSTransport) -> None:
        Model.open += 1
        Model.opened += 1

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
            return
        message = frame.get_payload_as_bytes()
        if message.startswith(b'{"setup"'):
            transport.send(WSMsgType.BINARY, _SETUP_COMPLETE)
            transport.send(WSMsgType.BINARY, _HANDLE)
        elif message.startswith(b'{"clientContent"'):
            for part in _GREETING:
                transport.send(WSMsgType.BINARY, part)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        Model.open -= 1


def _accept(request: WSUpgradeRequest) -> Model:
    return Model()


async def serve() -> None:
    server = await ws_create_server(_accept, "127.0.0.1", 0)
    say_ready(port=server.sockets[0].getsockname()[1])
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        sys.stdout.write(json.dumps({"open": Model.open, "opened": Model.opened}) + "\n")
        sys.stdout.flush()
    server.close()


if __name__ == "__main__":
    uvloop.run(serve())
