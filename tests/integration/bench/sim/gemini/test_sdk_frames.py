"""The golden client frames are what the installed google-genai writes."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google import genai
from google.genai import live, types
from websockets.asyncio.server import ServerConnection, serve

from tests.support.gemini_sim import GOLDEN, tone

Session = live.AsyncSession


def blob(rate: int) -> types.Blob:
    pcm = tone(20, hz=440, rate=rate)
    return types.Blob(data=pcm, mime_type=f"audio/pcm;rate={rate}")


def text(role: str, words: str) -> types.Content:
    return types.Content(role=role, parts=[types.Part(text=words)])


ANSWER = types.FunctionResponse(
    id="fc-1",
    name="lookup",
    response={"output": "room 12"},
    scheduling=types.FunctionResponseScheduling.WHEN_IDLE,
    will_continue=False,
)
HISTORY = [text("user", "My name is Dashwood."), text("model", "Pleased to meet you.")]
STEPS: dict[str, Callable[[Session], Awaitable[None]]] = {
    "client-audio-16k": lambda s: s.send_realtime_input(audio=blob(16_000)),
    "client-audio-8k": lambda s: s.send_realtime_input(audio=blob(8_000)),
    "client-media-chunks": lambda s: s.send_realtime_input(media=blob(16_000)),
    "client-realtime-text": lambda s: s.send_realtime_input(text="hi"),
    "client-activity-start": lambda s: s.send_realtime_input(activity_start=types.ActivityStart()),
    "client-activity-end": lambda s: s.send_realtime_input(activity_end=types.ActivityEnd()),
    "client-audio-stream-end": lambda s: s.send_realtime_input(audio_stream_end=True),
    "client-content": lambda s: s.send_client_content(turns=text("user", "Hello"), turn_complete=True),
    "client-content-history": lambda s: s.send_client_content(turns=HISTORY, turn_complete=False),
    "client-content-empty": lambda s: s.send_client_content(turn_complete=True),
    "client-tool-response": lambda s: s.send_tool_response(function_responses=[ANSWER]),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_the_golden_client_frames_are_what_the_sdk_writes() -> None:
    received: list[Any] = []

    async def record(socket: ServerConnection) -> None:
        async for message in socket:
            received.append(json.loads(message))
            if "setup" in received[-1]:
                await socket.send('{"setupComplete": {}}')

    async with serve(record, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        client = genai.Client(api_key="x", http_options=types.HttpOptions(api_version="v1beta"))
        # The SDK insists on wss; what it writes is the same without TLS.
        private: Any = client._api_client
        private._websocket_base_url = lambda http_options=None: f"ws://127.0.0.1:{port}"
        private._websocket_ssl_ctx = {"compression": None, "proxy": None}
        async with client.aio.live.connect(model="gemini-3.8-live", config={}) as session:
            for step in STEPS.values():
                await step(session)
    golden = {name: json.loads((GOLDEN / f"{name}.json").read_bytes()) for name in STEPS}
    setup, *rest = received
    assert setup == json.loads((GOLDEN / "client-setup-minimal.json").read_bytes())
    assert dict(zip(STEPS, rest, strict=True)) == golden
