"""What a call asks of its model, on a node: refused before the model is asked, or in the model's setup."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from media_plane.dsp.g711 import compress, expand
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings, TurnSettings
from protos.voiceplane.media.v1 import media_pb2 as pb
from tests.support.gemini_sim import running
from tests.support.google_cloud import token_server
from tests.support.media_peers import Caller, media_plane, tone

PROMPT = "You answer the telephone."


@pytest.mark.parametrize(
    ("agent", "field"),
    [
        ({"settings": AgentSettings(thinking_budget=1)}, "agent.settings.thinking_budget"),
        ({"settings": AgentSettings(turns=TurnSettings(silence_duration_ms=0))}, "agent.settings.turns."),
        ({"model": "gemini-3.5-live-translate-preview"}, "agent.model"),
        (
            {
                "model": "gemini-3.8-live-extended-thinking",
                "tools": [pb.Tool(name="f", description="d", blocking=True)],
            },
            "agent.tools[0].blocking",
        ),
    ],
)
async def test_what_the_model_would_refuse_is_refused_by_field_and_the_model_is_not_asked(
    agent: dict[str, Any], field: str
) -> None:
    async with media_plane() as plane:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await plane.prepare(agent=pb.AgentConfig(system_prompt=PROMPT, **agent))
        assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (refusal.value.details() or "").startswith(field)
        assert not plane.gemini.sessions


async def test_a_model_nobody_knows_is_asked_unless_that_is_forbidden() -> None:
    agent = pb.AgentConfig(system_prompt=PROMPT, model="gemini-9-live")
    async with media_plane() as plane:
        await plane.prepare(agent=agent)
        assert plane.gemini.sessions[0].messages[0]["setup"]["model"] == "models/gemini-9-live"
    async with media_plane(gemini_unknown_models="refuse") as plane:
        with pytest.raises(grpc.aio.AioRpcError, match="gemini-9-live is not a model we know"):
            await plane.prepare(agent=agent)


async def test_what_a_call_asks_for_is_in_its_setup() -> None:
    settings = AgentSettings(
        temperature=0.5,
        turns=TurnSettings(end_sensitivity="END_SENSITIVITY_LOW", silence_duration_ms=500),
    )
    async with media_plane() as plane:
        await plane.prepare(agent=pb.AgentConfig(system_prompt=PROMPT, voice="Kore", settings=settings))
        setup = plane.gemini.sessions[0].messages[0]["setup"]
    assert setup["generationConfig"]["temperature"] == 0.5
    assert (
        setup["generationConfig"]["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"]["voiceName"] == "Kore"
    )
    assert setup["realtimeInputConfig"] == {
        "automaticActivityDetection": {
            "endOfSpeechSensitivity": "END_SENSITIVITY_LOW",
            "silenceDurationMs": 500,
        }
    }


def say(caller: Caller, ms: int, amplitude: float) -> None:
    """The caller's line, as fast as it is taken."""
    ulaw = compress(tone(300, ms, 8000, amplitude)).tobytes()
    for at in range(0, len(ulaw), 160):
        caller.media(ulaw[at : at + 160])


async def test_the_model_is_sent_8_khz_where_asked_to_and_hears_it() -> None:
    async with (
        running() as sim,
        media_plane(gemini_base_url=f"http{sim.url[2:]}", gemini_uplink_rate=8000) as plane,
        httpx.AsyncClient(base_url=sim.admin, trust_env=False) as admin,
    ):
        prepared = await plane.prepare()
        caller = await plane.dial(prepared.stream_url)
        caller.start()
        say(caller, 800, 8000)
        say(caller, 2000, 0)
        await caller.until(lambda: len(caller.heard) > 4000)
        (session,) = (await admin.get("/sessions")).json()
        log = (await admin.get(f"/sessions/{session['id']}/log")).json()
    kinds = [line["kind"] for line in log]
    assert kinds.index("speech_started") < kinds.index("endpoint")


async def test_telephone_audio_goes_up_as_it_is_at_8_khz() -> None:
    async with media_plane(gemini_uplink_rate=8000) as plane:
        caller, model, _ = await plane.call()
        ulaw = compress(tone(300, 20, 8000))
        caller.media(ulaw.tobytes())
        await model.until(lambda: any("realtimeInput" in message for message in model.messages))
        sent = next(m for m in model.messages if "realtimeInput" in m)["realtimeInput"]["audio"]
    assert sent["mimeType"] == "audio/pcm;rate=8000"
    assert base64.b64decode(sent["data"]) == expand(ulaw).tobytes()


async def test_a_call_on_vertex_ai_takes_its_address_its_token_and_its_model_s_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with token_server(tmp_path) as tokens:
        async with (
            running() as sim,
            media_plane(
                gemini_base_url=f"http{sim.url[2:]}",
                gemini_vertex_project="a-project",
                gemini_vertex_location="europe-west4",
                gemini_vertex_credentials=str(tokens.credentials),
            ) as plane,
        ):
            agent = pb.AgentConfig(system_prompt=PROMPT, settings=AgentSettings(language="de-DE"))
            await plane.prepare(agent=agent)
            (connection,) = sim.simulator.connections.values()
            setup = connection.session.setup_body
        assert setup is not None
        model = "projects/a-project/locations/europe-west4/publishers/google/models/gemini-3.8-live"
        assert setup["model"] == model
        assert setup["generationConfig"]["speechConfig"]["languageCode"] == "de-DE"
