"""`voiceplane agents` against the running stack."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from control_plane.cli.app import app
from control_plane.devstack.stack import Stack

TOML = '''
name = "NAME"
[profile]
system_prompt = """
You answer for {{company}}.
Be brief."""
greeting = "Hello!"
max_duration_seconds = 600
[profile.settings]
voice = "Kore"
[[profile.tools]]
type = "end_call"
'''


@pytest.fixture
def name() -> str:
    return f"cli-{uuid.uuid4().hex[:10]}"


async def agents(stack: Stack, *words: str, stdin: str | None = None) -> Result:
    """The command in a thread: it blocks."""
    env = {"VOICEPLANE_ADDRESS": stack.endpoints["grpc"], "COLUMNS": "200"}
    return await asyncio.to_thread(CliRunner().invoke, app, ["agents", *words], env=env, input=stdin)


async def told(stack: Stack, *words: str, stdin: str | None = None) -> dict[str, Any]:
    done = await agents(stack, *words, "--json", stdin=stdin)
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def test_a_file_becomes_an_agent_and_its_next_versions(stack: Stack, name: str, tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(TOML.replace("NAME", name))

    assert (await agents(stack, "apply", str(path))).stdout == f"{name} is created: version 1\n"
    assert (await agents(stack, "apply", str(path))).stdout == f"{name} is unchanged: version 1\n"
    path.write_text(TOML.replace("NAME", name).replace("Hello!", "Good day!"))
    assert await told(stack, "apply", str(path)) == {"name": name, "version": 2, "done": "updated"}

    found = await told(stack, "get", name)
    assert (found["version"], found["variables"]) == (2, ["company"])
    assert found["profile"]["greeting"] == "Good day!"
    assert found["profile"]["settings"] == {"voice": "Kore"}
    assert [tool["type"] for tool in found["profile"]["tools"]] == ["end_call"]
    assert (await told(stack, "get", name, "--version", "1"))["profile"]["greeting"] == "Hello!"
    assert "Good day!" in (await agents(stack, "get", name)).stdout


async def test_what_get_prints_is_what_apply_takes(stack: Stack, name: str, tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(TOML.replace("NAME", name))
    await told(stack, "apply", str(path))

    printed = (await agents(stack, "get", name, "--json")).stdout

    assert (await told(stack, "apply", "-", stdin=printed))["done"] == "unchanged"


async def test_an_agent_is_listed_archived_and_brought_back(stack: Stack, name: str) -> None:
    written = json.dumps({"name": name, "profile": {"system_prompt": "Be kind."}})
    await told(stack, "apply", "-", stdin=written)

    async def names(*options: str) -> list[str]:
        return [each["name"] for each in (await told(stack, "list", *options))["agents"]]

    assert name in await names()
    assert name in (await agents(stack, "list")).stdout
    assert (await agents(stack, "delete", name)).stdout == f"{name} is archived\n"
    assert name not in await names()
    assert name in await names("--archived")
    assert (await told(stack, "apply", "-", stdin=written))["done"] == "brought back"
    assert name in await names()


@pytest.mark.parametrize(
    ("written", "status", "said"),
    [
        ({"name": "x1", "profile": {"system_prompt": ""}}, 1, "profile.system_prompt: "),
        ({"name": "No Name", "profile": {"system_prompt": "x"}}, 1, "name: "),
        ({"name": "x1", "profile": {"moon": 1}}, 2, 'no field named "moon"'),
        ({"name": "x1", "profile": {"system_prompt": "x", "tools": {}}}, 2, "profile.tools: must be a list"),
        ({"name": "x1"}, 2, "profile: must be an object"),
        ({"profile": {}}, 2, "name: must be a text"),
        ({"name": "x1", "profile": {}, "color": "red"}, 2, "color: there is no such field"),
        ([], 2, "profile: must be an object"),
    ],
)
async def test_what_is_wrong_in_a_file_is_one_sentence(
    stack: Stack, written: object, status: int, said: str
) -> None:
    done = await agents(stack, "apply", "-", stdin=json.dumps(written))
    assert (done.exit_code, done.stdout) == (status, "")
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


async def test_an_agent_that_is_not_there_is_refused(stack: Stack) -> None:
    done = await agents(stack, "get", "no-such-agent")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "no-such-agent" in done.stderr
