"""A stored agent arrives at its model with a call's values in its texts; the call says which agent it ran."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from typer.testing import CliRunner

from bench.demo.api import Client
from control_plane.cli.app import app
from control_plane.devstack.stack import Stack
from tests.support.eventually import eventually

NUMBER = "+15555550182"
COMPANY = f"Fern & Fox {uuid.uuid4().hex}"
PROFILE = {
    "system_prompt": "You answer the phone of {{company}}.",
    "greeting": "Hello {{first_name}}!",
    "settings": {"voice": "Kore"},
    "max_duration_seconds": 120,
}


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[Client]:
    client = Client.connect(stack.endpoints)
    yield client
    await client.close()


async def test_a_call_of_a_stored_agent(stack: Stack, client: Client) -> None:
    await client.put_persona(NUMBER, {"answer_after_ms": 100, "script": [{"pause_ms": 60_000}]})
    rest, admin = client.endpoints["rest"], client.endpoints["gemini_admin"]
    name = f"agent-{uuid.uuid4().hex[:12]}"
    stored = await client.http.post(f"{rest}/agents", json={"name": name, "profile": PROFILE})
    assert stored.status_code == 201
    values = {"company": COMPANY, "first_name": "Ada"}
    created = await client.http.post(
        f"{rest}/calls", json={"phone_number": NUMBER, "agent": name, "variables": values}
    )
    assert created.status_code == 201
    workflow_id = created.json()["workflow_id"]

    async def setup() -> dict[str, Any] | None:
        sessions = (await client.http.get(f"{admin}/sessions")).json()
        setups = [session["setup"] for session in sessions if session["setup"]]
        return next((each for each in setups if COMPANY in str(each["systemInstruction"])), None)

    found = await eventually(setup, within_s=15)
    assert found is not None
    voice = found["generationConfig"]["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"]
    assert voice == {"voiceName": "Kore"}

    async def in_progress() -> dict[str, Any] | None:
        state: dict[str, Any] = (await client.http.get(f"{rest}/calls/{workflow_id}")).json()
        return state if state["status"] == "in_progress" else None

    state = await eventually(in_progress, within_s=15)
    assert state is not None
    assert state["call_config"]["greeting"] == "Hello Ada!"
    await client.http.post(f"{rest}/calls/{workflow_id}/terminate")

    async def listed() -> dict[str, Any] | None:
        calls = (await client.http.get(f"{rest}/calls", params={"phone_number": NUMBER})).json()["calls"]
        return next((each for each in calls if each["workflow_id"] == workflow_id), None)

    row = await eventually(listed, within_s=15)
    assert row is not None
    assert (row["agent_name"], row["agent_version"]) == (name, 1)


async def test_a_key_made_at_the_command_line_opens_the_api_to_what_comes_through_a_proxy(
    stack: Stack, client: Client
) -> None:
    words = ["keys", "create", "e2e", "--scopes", "read"]
    url = {"DATABASE_URL": stack.env["DATABASE_URL"]}
    made = await asyncio.to_thread(CliRunner().invoke, app, words, env=url)
    assert made.exit_code == 0, made.output
    through = {"X-Forwarded-For": "192.0.2.1"}
    calls = f"{client.endpoints['rest']}/calls"

    assert (await client.http.get(calls, headers=through)).status_code == 401
    key = {"Authorization": f"Bearer {made.stdout.strip()}"}
    assert (await client.http.get(calls, headers=through | key)).status_code == 200
    assert (await client.http.post(calls, headers=through | key, json={})).status_code == 403
