"""The first message, its address and its headers are those that google-genai's own client sends for the same
configuration, field by field: over all models, all ways to get in, and whatever a call may ask for."""

from __future__ import annotations

import asyncio
import json
import re
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve

from media_plane.call.tools import Tool
from media_plane.io.gemini_endpoint import GeminiEndpoint
from media_plane.io.gemini_setup import live_config, setup_message
from media_plane.io.gemini_tools import Function, declared
from media_plane.io.google_credentials import GoogleCredentials
from media_plane.settings import Settings
from protos.gemini.models import MODELS, Platform
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings, TurnSettings

TOKEN = "auth_tokens/0123456789abcdef"
HEADERS = ("x-goog-api-key", "authorization", "x-goog-user-project")


def camel(value: Any) -> Any:
    """Field names in camelCase, as ProtoJSON reads them either way."""
    if isinstance(value, dict):
        return {re.sub(r"_([a-z])", lambda m: m[1].upper(), key): camel(item) for key, item in value.items()}
    if isinstance(value, list):
        return [camel(item) for item in value]
    return value


@dataclass
class Seen:
    """A session that the SDK's client has opened."""

    setup: Any
    path: str
    headers: dict[str, str]


class Recorder:
    """A server that any client can set a session up with."""

    def __init__(self) -> None:
        self.port = 0
        self._seen: asyncio.Queue[Seen] = asyncio.Queue()

    async def session(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        setup = json.loads(await socket.recv())
        headers = {name: socket.request.headers[name] for name in HEADERS if name in socket.request.headers}
        self._seen.put_nowait(Seen(setup, socket.request.path, headers))
        await socket.send('{"setupComplete": {}}')
        await socket.wait_closed()

    async def sdk(self, client: genai.Client, model: str, config: types.LiveConnectConfigDict) -> Seen:
        """What the SDK's client sends."""
        # The SDK dials wss only; these two private fields let it dial a bare local server.
        api: Any = client._api_client
        api._websocket_base_url = lambda http_options=None: f"ws://127.0.0.1:{self.port}"
        api._websocket_ssl_ctx = {"proxy": None, "close_timeout": 0.1}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it calls its own support of tokens experimental
            async with client.aio.live.connect(model=model, config=config):
                pass
        return self._seen.get_nowait()


@pytest.fixture(scope="session")
async def recorder() -> AsyncIterator[Recorder]:
    recorder = Recorder()
    async with serve(recorder.session, "127.0.0.1", 0) as server:
        recorder.port = server.sockets[0].getsockname()[1]
        yield recorder


def google_cloud() -> Credentials:
    return Credentials("a-bearer", quota_project_id="who-pays")  # type: ignore[no-untyped-call]


@cache  # a client takes a while to make
def way_in(name: str) -> tuple[GeminiEndpoint, genai.Client]:
    """Ours and the SDK's, of one configuration."""
    values: dict[str, Any] = {"_env_file": None}
    match name:
        case "key":
            options = types.HttpOptions(api_version="v1beta")
            client = genai.Client(api_key="a-key", http_options=options)
            return GeminiEndpoint.of(Settings(**values, gemini_api_key="a-key"), None), client
        case "token":
            options = types.HttpOptions(api_version="v1alpha")
            client = genai.Client(api_key=TOKEN, http_options=options)
            return GeminiEndpoint.of(Settings(**values, gemini_api_key=TOKEN), None), client
        case _:
            location = name.partition(" ")[2]
            client = genai.Client(
                vertexai=True, project="a-project", location=location, credentials=google_cloud()
            )
            given = Settings(**values, gemini_vertex_project="a-project", gemini_vertex_location=location)
            return GeminiEndpoint.of(given, GoogleCredentials(google_cloud())), client


WAYS_IN = ["key", "token", "vertex us-central1", "vertex global", "vertex eu"]


@pytest.mark.parametrize("name", WAYS_IN)
async def test_every_way_in_takes_the_sdk_s_address_and_headers(recorder: Recorder, name: str) -> None:
    endpoint, client = way_in(name)
    api: Any = client._api_client
    host = api._http_options.base_url.removeprefix("https://").rstrip("/")
    seen = await recorder.sdk(client, "gemini-3.8-live", {})
    assert endpoint.url == f"wss://{host}{seen.path}"
    assert {key.lower(): value for key, value in endpoint.headers().items()} == seen.headers


@pytest.mark.parametrize("model", sorted(MODELS))
@pytest.mark.parametrize("name", ["key", "token", "vertex europe-west4"])
async def test_every_model_has_the_sdk_s_name(recorder: Recorder, name: str, model: str) -> None:
    endpoint, client = way_in(name)
    for written in (model, f"models/{model}"):
        seen = await recorder.sdk(client, written, {})
        assert endpoint.model(written) == seen.setup["setup"]["model"]
    if name.startswith("vertex"):
        for written in (f"publishers/google/models/{model}", f"google/{model}"):
            seen = await recorder.sdk(client, written, {})
            assert endpoint.model(written) == seen.setup["setup"]["model"]


def enum(values: Any) -> st.SearchStrategy[str]:
    return st.sampled_from(values.keys()[1:])


def some(fields: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


TURNS = some(
    {
        "mode": enum(TurnSettings.Mode),
        "start_sensitivity": enum(TurnSettings.StartSensitivity),
        "end_sensitivity": enum(TurnSettings.EndSensitivity),
        "prefix_padding_ms": st.integers(0, 10_000),
        "silence_duration_ms": st.integers(1, 10_000),
        "activity_handling": enum(TurnSettings.ActivityHandling),
        "turn_coverage": enum(TurnSettings.TurnCoverage),
    }
)
ASKED = some(
    {
        "language": st.sampled_from(["de-DE", "en-US"]),
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0.01, 1),
        "max_output_tokens": st.integers(1, 65_536),
        "thinking_level": enum(AgentSettings.ThinkingLevel),
        "thinking_budget": st.integers(-1, 32_768),
        "affective_dialog": st.booleans(),
        "proactive_audio": st.booleans(),
        "turns": TURNS,
    }
)
PARAMETERS = {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]}


def sdk_config(prompt: str, voice: str, asked: dict[str, Any], functions: list[str]) -> dict[str, Any]:
    """As somebody writes it who reads the SDK's documentation."""
    config: dict[str, Any] = {
        "response_modalities": ["AUDIO"],
        "speech_config": {"voice_config": {"prebuilt_voice_config": {"voice_name": voice}}},
        "system_instruction": {"role": "user", "parts": [{"text": prompt}]},
        "input_audio_transcription": {},
        "output_audio_transcription": {},
        "session_resumption": {},
        "context_window_compression": {"sliding_window": {}},
    }
    config |= {name: asked[name] for name in ("temperature", "top_p", "max_output_tokens") if name in asked}
    if "language" in asked:
        config["speech_config"]["language_code"] = asked["language"]
    thinking = {name: asked[name] for name in ("thinking_level", "thinking_budget") if name in asked}
    if thinking:
        config["thinking_config"] = thinking
    if "affective_dialog" in asked:
        config["enable_affective_dialog"] = asked["affective_dialog"]
    if "proactive_audio" in asked:
        config["proactivity"] = {"proactive_audio": asked["proactive_audio"]}
    turns = {name: value for name, value in asked.get("turns", {}).items() if value != "AUTO"}
    names = {
        "start_sensitivity": "start_of_speech_sensitivity",
        "end_sensitivity": "end_of_speech_sensitivity",
    }
    realtime = {name: turns.pop(name) for name in ("activity_handling", "turn_coverage") if name in turns}
    detection = {names.get(name, name): value for name, value in turns.items() if name != "mode"}
    if turns.get("mode") == "MANUAL":
        detection = {"disabled": True}  # the node detects
    if detection:
        realtime["automatic_activity_detection"] = detection
    if realtime:
        config["realtime_input_config"] = realtime
    if functions:
        schema = {"type": "OBJECT", "properties": {"what": {"type": "STRING"}}, "required": ["what"]}
        function = {"description": "Does it.", "parameters": schema, "behavior": "NON_BLOCKING"}
        config["tools"] = [{"function_declarations": [{"name": name} | function for name in functions]}]
    return config


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=st.sampled_from(["key", "token", "vertex us-central1"]),
    model=st.sampled_from(sorted(MODELS)),
    prompt=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    voice=st.sampled_from(["Puck", "Kore"]),
    asked=ASKED,
    functions=st.lists(st.sampled_from(["look_up", "book", "cancel"]), unique=True),
)
async def test_our_setup_equals_the_sdk_s(
    recorder: Recorder,
    name: str,
    model: str,
    prompt: str,
    voice: str,
    asked: dict[str, Any],
    functions: list[str],
) -> None:
    endpoint, client = way_in(name)
    config: Any = sdk_config(prompt, voice, asked, functions)
    theirs = await recorder.sdk(client, model, config)

    wanted = AgentSettings(**asked | {"turns": TurnSettings(**asked.get("turns", {}))})
    tools = [Function(Tool(each), "Does it.", json.dumps(PARAMETERS)) for each in functions]
    ours = setup_message(endpoint.model(model), live_config(prompt, voice, declared(tools), wanted))
    assert json.loads(ours) == camel(theirs.setup)


def test_the_table_knows_the_platforms_it_names() -> None:
    assert {platform for model in MODELS.values() for platform in model.platforms} == set(Platform)
