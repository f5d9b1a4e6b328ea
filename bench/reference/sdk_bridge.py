"""The bridge people write today: FastAPI and uvicorn, the google-genai client, SOXR HQ streams, numpy μ-law.

Only a yardstick. It is written as well as its parts allow: tables for μ-law, streams that keep their state,
one task per direction, no logging per frame. `python -m bench.reference.sdk_bridge` serves
`/twilio/ws/media/{key}` on a free port and dials GEMINI_BASE_URL, naming the call `bench-call:{key}`.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from google import genai
from google.genai import types
from google.genai.live import AsyncSession

from bench.load.models import prompt
from bench.load.process import say_ready
from bench.reference.obvious import ToModel, ToPhone, media

app = FastAPI()


def client() -> genai.Client:
    made = genai.Client(api_key="bench", http_options=types.HttpOptions(api_version="v1beta"))
    # The client always dials wss with a TLS context; these two attributes are the only way to plain ws.
    api: Any = made._api_client
    address = os.environ["GEMINI_BASE_URL"].replace("http://", "ws://", 1)
    api._websocket_base_url = lambda http_options=None: address
    api._websocket_ssl_ctx = {"max_size": None, "compression": None, "ping_interval": None, "proxy": None}
    return made


@app.websocket("/twilio/ws/media/{key}")
async def serve(websocket: WebSocket, key: str) -> None:
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
    to_model = ToModel()
    try:
        while True:
            event = json.loads(await websocket.receive_text())
            if event["event"] == "stop":
                return
            if event["event"] == "media":
                pcm = to_model.pcm(event["media"]["payload"])
                if pcm:
                    await session.send_realtime_input(
                        audio=types.Blob(data=pcm, mime_type="audio/pcm;rate=16000")
                    )
    except WebSocketDisconnect:
        return


async def _downlink(session: AsyncSession, websocket: WebSocket, stream_sid: str) -> None:
    to_phone = ToPhone()
    while True:
        async for message in session.receive():  # ends with each turn
            content = message.server_content
            if content is None or content.model_turn is None:
                continue
            for part in content.model_turn.parts or []:
                if part.inline_data is None or part.inline_data.data is None:
                    continue
                payload = to_phone.payload(part.inline_data.data)
                if payload:
                    await websocket.send_text(media(stream_sid, payload))


async def main() -> None:
    """On uvloop, as uvicorn itself would choose."""
    app.state.client = client()
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    say_ready(ws=f"ws://127.0.0.1:{listener.getsockname()[1]}")
    await serving


if __name__ == "__main__":
    uvloop.run(main())
