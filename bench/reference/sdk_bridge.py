"""The bridge people write today: FastAPI and uvicorn, the google-genai client, SOXR HQ streams, numpy μ-law.

Only a yardstick. It is written as well as its parts allow: tables for μ-law, streams that keep their state,
one task per direction, no logging per frame. `python -m bench.reference.sdk_bridge` serves
`/twilio/ws/media/{key}` on a free port and dials GEMINI_BASE_URL, naming the call `bench-call:{key}`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
from typing import Any

import numpy as np
import soxr
import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from google import genai
from google.genai import types
from google.genai.live import AsyncSession
from numpy.typing import NDArray

from bench.load.models import prompt
from bench.load.process import say_ready
from bench.load.signal import ulaw_encode, ulaw_table

DECODE = ulaw_table()
ENCODE = ulaw_encode(np.arange(-32768, 32768).astype(np.int16))  # index: sample + 32768

app = FastAPI()


def to_model(payload: str, resampler: soxr.ResampleStream) -> bytes:
    """Twilio's base64 payload → int16 PCM at 16 kHz, as much as SOXR lets go."""
    pcm = DECODE[np.frombuffer(base64.b64decode(payload), np.uint8)]
    return bytes(resampler.resample_chunk(pcm).tobytes())


def to_phone(pcm: bytes, resampler: soxr.ResampleStream) -> str:
    """int16 PCM at 24 kHz → Twilio's base64 payload, as much as SOXR lets go."""
    narrow: NDArray[np.int16] = resampler.resample_chunk(np.frombuffer(pcm, np.int16))
    return base64.b64encode(ENCODE[narrow.astype(np.int32) + 32768].tobytes()).decode()


def up_resampler() -> soxr.ResampleStream:
    return soxr.ResampleStream(8000, 16000, 1, dtype="int16", quality="HQ")


def down_resampler() -> soxr.ResampleStream:
    return soxr.ResampleStream(24000, 8000, 1, dtype="int16", quality="HQ")


def client() -> genai.Client:
    made = genai.Client(api_key="bench", http_options=types.HttpOptions(api_version="v1beta"))
    # The client always dials wss with a TLS context; these two attributes are the only way to plain ws.
    api: Any = made._api_client
    address = os.environ["GEMINI_BASE_URL"].replace("http://", "ws://", 1)
    api._websocket_base_url = lambda http_options=None: address
    api._websocket_ssl_ctx = {"max_size": None, "compression": None, "ping_interval": None, "proxy": None}
    return made


@app.websocket("/twilio/ws/media/{key}")
async def media(websocket: WebSocket, key: str) -> None:
    await websocket.accept()
    while (start := await websocket.receive_json())["event"] != "start":
        pass
    config = types.LiveConnectConfig(
        response_modalities=[types.Modality.AUDIO],
        system_instruction=types.Content(parts=[types.Part(text=prompt(key))]),
        input_audio_transcription=types.AudioTranscriptionConfig(),
        output_audio_transcription=types.AudioTranscriptionConfig(),
    )
    async with app.state.client.aio.live.connect(model="gemini-3.8-live", config=config) as session:
        downlink = asyncio.create_task(_downlink(session, websocket, start["streamSid"]))
        try:
            await _uplink(websocket, session)
        finally:
            downlink.cancel()
            await asyncio.wait([downlink])


async def _uplink(websocket: WebSocket, session: AsyncSession) -> None:
    resampler = up_resampler()
    try:
        while True:
            event = json.loads(await websocket.receive_text())
            if event["event"] == "stop":
                return
            if event["event"] == "media":
                pcm = to_model(event["media"]["payload"], resampler)
                if pcm:
                    await session.send_realtime_input(
                        audio=types.Blob(data=pcm, mime_type="audio/pcm;rate=16000")
                    )
    except WebSocketDisconnect:
        return


async def _downlink(session: AsyncSession, websocket: WebSocket, stream_sid: str) -> None:
    resampler = down_resampler()
    while True:
        async for message in session.receive():  # ends with each turn
            content = message.server_content
            if content is None or content.model_turn is None:
                continue
            for part in content.model_turn.parts or []:
                if part.inline_data is None or part.inline_data.data is None:
                    continue
                payload = to_phone(part.inline_data.data, resampler)
                if payload:
                    media = {"event": "media", "streamSid": stream_sid, "media": {"payload": payload}}
                    await websocket.send_text(json.dumps(media))


async def main() -> None:
    app.state.client = client()
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    say_ready(ws=f"ws://127.0.0.1:{listener.getsockname()[1]}")
    await serving


if __name__ == "__main__":
    # uvicorn's own choice of loop, made here because the socket is.
    import uvloop

    uvloop.run(main())
