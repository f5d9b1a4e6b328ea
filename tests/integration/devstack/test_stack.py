"""The complete stack: every part answers where stack.json says it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from control_plane.devstack import environment
from control_plane.devstack.stack import Stack
from control_plane.devstack.state import Phase

ROOT = Path(__file__).parents[3]


def documented() -> dict[str, Any]:
    """stack.json as docs/seams.md shows it."""
    section = (ROOT / "docs/seams.md").read_text().split("## `.voiceplane/`", 1)[1]
    match = re.search(r"```json\n(.*?)```", section, re.DOTALL)
    assert match is not None
    shown: dict[str, Any] = json.loads(match[1])
    return shown


def state_of(stack: Stack) -> dict[str, Any]:
    state = stack.data_dir.read_state()
    assert state is not None
    return state


async def test_everything_is_ready(stack: Stack) -> None:
    phases = {name: state.phase for name, state in stack.states.items()}
    assert phases.pop("migrations") is Phase.DONE
    assert set(phases.values()) == {Phase.READY}
    assert set(phases) == {
        *("postgres", "valkey", "temporal"),
        *("gemini-sim", "twilio-sim", "media", "control", "worker"),
    }


async def test_stack_json_has_the_documented_form(stack: Stack) -> None:
    shown, state = documented(), state_of(stack)
    assert set(state) == set(shown)
    assert set(state["endpoints"]) == set(shown["endpoints"]) - {"temporal_ui"}  # the tests leave it out
    assert set(state["env"]) == environment.SETTINGS - {"MEDIA_NODE_ID"}
    for process in state["processes"].values():
        assert set(shown["processes"]["media"]) <= set(process)
        assert Path(process["log"]).exists()


async def test_stack_json_is_for_its_owner_alone(stack: Stack) -> None:
    assert stack.data_dir.state_file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("rest", "/health"),
        ("rest", "/docs"),
        ("rest", "/metrics"),
        ("control_metrics", ""),
        ("media_metrics", ""),
        ("worker_metrics", ""),
        ("media_ws", "/health"),
        ("gemini_admin", "/health"),
        ("twilio_admin", "/health"),
    ],
)
async def test_it_answers_there(stack: Stack, endpoint: str, path: str) -> None:
    address = state_of(stack)["endpoints"][endpoint].replace("ws://", "http://")
    async with httpx.AsyncClient(trust_env=False) as client:
        response = await client.get(address + path)
    assert response.status_code == 200


async def test_nobody_is_asked_to_read_the_developers_settings(stack: Stack) -> None:
    env = state_of(stack)["env"]
    assert env["GEMINI_BASE_URL"] == stack.endpoints["gemini"]
    assert env["TWILIO_API_BASE_URL"] == stack.endpoints["twilio"]
