"""The setup message is the one google-genai's own client sends for the same configuration, field by field."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from google import genai
from google.genai import types
from websockets.asyncio.server import ServerConnection, serve

from media_plane.io.gemini_endpoint import GeminiEndpoint
from media_plane.io.gemini_setup import live_config, setup_message


def camel(value: Any) -> Any:
    """Field names in camelCase, as ProtoJSON reads them either way."""
    if isinstance(value, dict):
        return {re.sub(r"_([a-z])", lambda m: m[1].upper(), key): camel(item) for key, item in value.items()}
    if isinstance(value, list):
        return [camel(item) for item in value]
    return value


async def sdk_setup(model: str, config: types.LiveConnectConfig) -> tuple[Any, str, str | None]:
    """What the SDK's client sends first, to which path, with which key header."""
    seen: list[tuple[Any, str, str | None]] = []

    async def session(socket: ServerConnection) -> None:
        assert socket.request is not None
        setup = json.loads(await socket.recv())
        seen.append((setup, socket.request.path, socket.request.headers.get("x-goog-api-key")))
        await socket.send('{"setupComplete": {}}')
        await socket.wait_closed()

    async with serve(session, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = genai.Client(api_key="a-key", http_options=types.HttpOptions(api_version="v1beta"))
        # The SDK dials wss only; these two private fields let it dial a bare local server.
        api: Any = client._api_client
        api._websocket_base_url = lambda http_options=None: f"ws://127.0.0.1:{port}"
        api._websocket_ssl_ctx = {"proxy": None}
        async with client.aio.live.connect(model=model, config=config):
            pass
    return seen[0]


VARIED = types.LiveConnectConfig(
    response_modalities=[types.Modality.AUDIO],
    temperature=0.7,
    top_p=0.9,
    top_k=40,
    max_output_tokens=500,
    seed=1,
    media_resolution=types.MediaResolution.MEDIA_RESOLUTION_LOW,
    thinking_config=types.ThinkingConfig(include_thoughts=False, thinking_budget=0),
    enable_affective_dialog=True,
    proactivity=types.ProactivityConfig(proactive_audio=True),
    session_resumption=types.SessionResumptionConfig(handle="previous"),
    context_window_compression=types.ContextWindowCompressionConfig(
        trigger_tokens=25_600, sliding_window=types.SlidingWindow(target_tokens=12_800)
    ),
    realtime_input_config=types.RealtimeInputConfig(
        automatic_activity_detection=types.AutomaticActivityDetection(
            start_of_speech_sensitivity=types.StartSensitivity.START_SENSITIVITY_LOW,
            prefix_padding_ms=20,
            silence_duration_ms=500,
        ),
        activity_handling=types.ActivityHandling.START_OF_ACTIVITY_INTERRUPTS,
    ),
)


@pytest.mark.parametrize("model", ["gemini-3.8-live", "models/gemini-3.8-live"])
@pytest.mark.parametrize(
    "config", [live_config("You answer the telephone. Ä", "Puck"), VARIED], ids=["ours", "varied"]
)
async def test_our_setup_equals_the_sdk_s(model: str, config: types.LiveConnectConfig) -> None:
    theirs, path, key = await sdk_setup(model, config)
    assert json.loads(setup_message(model, config)) == camel(theirs)
    endpoint = GeminiEndpoint("https://example.test", "v1beta", "a-key", 10.0)
    assert endpoint.url == f"wss://example.test{path}"
    assert key == endpoint.api_key
