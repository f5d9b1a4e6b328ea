"""What whoever creates a call asks of its model arrives there, or nobody is dialed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bench.demo.api import Client
from control_plane.devstack.stack import Stack
from tests.support.eventually import eventually

NUMBER = "+15555550181"
AGENT = {
    "model": "gemini-3.8-live-extended-thinking",
    "voice": "Kore",
    "thinking_level": "LOW",
    "turns": {"end_sensitivity": "END_SENSITIVITY_LOW", "silence_duration_ms": 650},
}


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[Client]:
    client = Client.connect(stack.endpoints)
    yield client
    await client.close()


def call(agent: dict[str, Any]) -> dict[str, Any]:
    return {"phone_number": NUMBER, "system_prompt": "You sell tea, and e2e asks you.", "agent": agent}


async def test_an_agent_s_settings_arrive_at_its_model(stack: Stack, client: Client) -> None:
    await client.put_persona(NUMBER, {"answer_after_ms": 100, "script": [{"pause_ms": 60_000}]})
    rest, admin = client.endpoints["rest"], client.endpoints["gemini_admin"]
    created = await client.http.post(f"{rest}/calls", json=call(AGENT))
    assert created.status_code == 201

    async def setup() -> dict[str, Any] | None:
        sessions = (await client.http.get(f"{admin}/sessions")).json()
        setups = [session["setup"] for session in sessions if session["setup"]]
        return next((each for each in setups if "e2e asks you" in str(each["systemInstruction"])), None)

    found = await eventually(setup, within_s=15)
    assert found is not None
    assert found["model"] == "models/gemini-3.8-live-extended-thinking"
    assert found["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "LOW"}
    voice = found["generationConfig"]["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"]
    assert voice == {"voiceName": "Kore"}
    assert found["realtimeInputConfig"]["automaticActivityDetection"] == {
        "endOfSpeechSensitivity": "END_SENSITIVITY_LOW",
        "silenceDurationMs": 650,
    }
    await client.http.post(f"{rest}/calls/{created.json()['workflow_id']}/terminate")


async def test_nobody_is_dialed_for_a_setup_that_the_model_would_refuse(stack: Stack, client: Client) -> None:
    rest, twilio = client.endpoints["rest"], client.endpoints["twilio_admin"]
    before = len((await client.http.get(f"{twilio}/calls")).json())
    refused = await client.http.post(f"{rest}/calls", json=call(AGENT | {"thinking_budget": 100}))

    assert refused.status_code == 422
    assert refused.json()["detail"][0]["loc"] == ["body", "agent", "thinking_budget"]
    assert len((await client.http.get(f"{twilio}/calls")).json()) == before
