"""`voiceplane numbers` over a real database."""

from __future__ import annotations

import asyncio
import json
import uuid

import pytest
from click.testing import Result
from typer.testing import CliRunner

from control_plane.cli.numbers import app
from tests.support.control import Control


async def numbers(control: Control, *arguments: str) -> Result:
    """The command in a thread: it has a loop of its own."""
    env = {"DATABASE_URL": control.settings.database_url}
    return await asyncio.to_thread(CliRunner().invoke, app, arguments, env=env)


@pytest.fixture
async def agent(control: Control) -> str:
    name = f"desk-{uuid.uuid4().hex[:8]}"
    profile = {"system_prompt": "You answer for {{company}}."}
    made = await control.http.post("/agents", json={"name": name, "profile": profile})
    assert made.status_code == 201, made.text
    return name


async def test_a_number_is_set_listed_and_removed(control: Control, agent: str) -> None:
    number = f"+1415556{uuid.uuid4().int % 10_000:04d}"
    done = await numbers(control, "set", number, agent, "--variable", "company=Fern & Fox")
    assert (done.exit_code, done.stdout) == (0, f"{agent} answers {number}\n")
    lines = (await numbers(control, "list", "--json")).stdout.splitlines()
    found = next(each for each in map(json.loads, lines) if each["number"] == number)
    assert (found["agent"], found["variables"]) == (agent, {"company": "Fern & Fox"})
    assert found["by"].startswith("cli")
    assert (await numbers(control, "remove", number)).stdout == f"nobody answers {number}\n"
    assert (await numbers(control, "remove", number)).stdout == f"nobody answered {number}\n"


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("+14155550100", "no-such-agent"), 1, "no agent no-such-agent"),
        (("+1", "x"), 2, "must be an E.164 number"),
        (("+14155550100", "x", "--variable", "company"), 2, "is not name=value"),
    ],
)
async def test_what_can_t_be_set_is_a_sentence(
    control: Control, arguments: tuple[str, ...], status: int, said: str
) -> None:
    done = await numbers(control, "set", *arguments)
    assert done.exit_code == status
    assert said in done.stderr


async def test_an_agents_variables_are_asked_for(control: Control, agent: str) -> None:
    done = await numbers(control, "set", "+14155550100", agent)
    assert done.exit_code == 1
    assert "company" in done.stderr
