"""`voiceplane calls` against the whole stack: one command a step of a call's life."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from bench.demo.api import Client
from control_plane.cli.app import app
from control_plane.devstack.stack import Stack
from tests.support.eventually import eventually
from tests.support.twilio_sim import words as speech

LISTENS = [
    {"wait": "agent_starts", "timeout_ms": 10_000},
    {"wait": "agent_stops", "for_ms": 300, "timeout_ms": 20_000},
]
STAYS = {"answer_after_ms": 100, "script": [{"pause_ms": 60_000}]}


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[Client]:
    client = Client.connect(stack.endpoints)
    yield client
    await client.close()


async def calls(stack: Stack, *words: str, stdin: str | None = None) -> Result:
    """The command in a thread: it blocks."""
    env = {"VOICEPLANE_ADDRESS": stack.endpoints["grpc"], "COLUMNS": "200"}
    return await asyncio.to_thread(CliRunner().invoke, app, ["calls", *words], env=env, input=stdin)


async def told(stack: Stack, *words: str) -> dict[str, Any]:
    done = await calls(stack, *words, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def done_once_it_streams(stack: Stack, *words: str) -> Result:
    """A call is in progress a moment before its stream runs, and refused until then."""

    async def taken() -> Result | None:
        done = await calls(stack, *words)
        return done if "no stream" not in done.stderr and "ringing" not in done.stderr else None

    return await eventually(taken, within_s=15)


async def test_a_call_is_made_followed_to_its_end_and_read(
    stack: Stack, client: Client, tmp_path: Path
) -> None:
    number = "+15555550161"
    script = [*LISTENS, {"play": str(speech(tmp_path))}, *LISTENS, {"hangup": True}]
    await client.put_persona(number, {"answer_after_ms": 100, "script": script})
    made = await calls(stack, "create", number, "--prompt-file", "-", "--greeting", "Hi!", stdin="Be kind.")
    assert made.exit_code == 0, made.output
    call = made.stdout.strip()

    shown = await calls(stack, "watch", call)
    again = await calls(stack, "watch", call, "--json")

    assert shown.exit_code == again.exit_code == 0
    assert shown.stdout.startswith("-- initiated\n")
    assert " agent: " in shown.stdout
    assert "answered after" in shown.stdout
    assert shown.stdout.splitlines()[-1].startswith("-- completed: caller_hangup")
    items = [json.loads(line) for line in again.stdout.splitlines()]
    assert (items[0]["type"], items[0]["status"]) == ("status", "initiated")
    assert (items[-1]["type"], items[-1]["end_reason"]) == ("ended", "caller_hangup")
    turns = [item["turn"]["response_ms"] for item in items if item["type"] == "turn"]
    assert any(response_ms > 0 for response_ms in turns)
    rest = await calls(stack, "watch", call, "--json", "--after", str(items[-2]["sequence"]))
    assert rest.stdout.splitlines() == again.stdout.splitlines()[-1:]

    found = await told(stack, "get", call)
    assert (found["status"], found["phone_number"], found["greeting"]) == ("completed", number, "Hi!")
    assert {line["speaker"] for line in found["transcript"]} == {"agent", "caller"}
    table = (await calls(stack, "get", call)).stdout
    assert call in table
    assert "median of" in table
    listed = await told(stack, "list", "--number", number, "--status", "completed", "--since", "1h")
    assert call in [each["workflow_id"] for each in listed["calls"]]
    assert call in (await calls(stack, "list", "--number", number)).stdout


async def test_a_live_call_is_spoken_into_and_ended(stack: Stack, client: Client) -> None:
    number = "+15555550162"
    await client.put_persona(number, STAYS)
    call = (await told(stack, "create", number, "--prompt", "Be kind."))["workflow_id"]
    pressed = await done_once_it_streams(stack, "dtmf", call, "12#")
    assert pressed.stdout == f"{call}: pressed\n", pressed.output

    assert await told(stack, "say", call, "One moment.") == {"workflow_id": call, "done": "said"}
    assert (await told(stack, "say", call, "He is in a hurry.", "--instruct"))["done"] == "instructed"
    bad = await calls(stack, "dtmf", call, "x")
    assert (bad.exit_code, bad.stdout) == (1, "")
    assert bad.stderr.startswith("error: digits: ")
    assert bad.stderr.count("\n") == 1

    assert (await calls(stack, "hangup", call, "--reason", "test")).stdout == f"{call} is being ended\n"
    last = (await calls(stack, "watch", call, "--json")).stdout.splitlines()[-1]
    assert json.loads(last)["end_reason"] == "terminated"
    over = await calls(stack, "say", call, "Hello?")
    assert over.exit_code == 1


async def test_a_call_is_handed_over(stack: Stack, client: Client) -> None:
    number, person = "+15555550163", "+15555550164"
    await client.put_persona(number, STAYS)
    await client.put_persona(person, STAYS)
    call = (await told(stack, "create", number, "--prompt", "Be kind."))["workflow_id"]

    done = await done_once_it_streams(stack, "transfer", call, person)

    assert done.stdout == f"{call}: transferring\n", done.output
    await calls(stack, "hangup", call)


async def test_a_stored_agent_is_called_with(stack: Stack, client: Client) -> None:
    name, number = f"cli-{uuid.uuid4().hex[:8]}", "+15555550165"
    profile = {"system_prompt": "You answer for {{company}}.", "greeting": "{{company}}, hello."}
    await client.put_persona(number, STAYS)
    rest = stack.endpoints["rest"]
    await client.http.post(f"{rest}/agents", json={"name": name, "profile": profile})

    missing = await calls(stack, "create", number, "--agent", f"{name}@1")
    made = await told(stack, "create", number, "--agent", f"{name}@1", "--variable", "company=Fern & Fox")

    assert missing.exit_code == 1
    assert missing.stderr.startswith("error: variables.company: ")
    assert (await told(stack, "get", made["workflow_id"]))["greeting"] == "Fern & Fox, hello."
    await calls(stack, "hangup", made["workflow_id"])


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["create", "+1", "--prompt", "x"], 1, "phone_number: "),
        (["create", "+15555550166"], 2, "one of --prompt, --prompt-file and --agent is needed"),
        (["create", "+15555550166", "--agent", "a@x"], 2, "--agent: 'x' is no version"),
        (["create", "+15555550166", "--agent", "a", "--variable", "b"], 2, "'b' is not name=value"),
        (["create", "+15555550166", "--prompt-file", "no-such-file"], 2, "--prompt-file: no-such-file: "),
        (["list", "--status", "done"], 2, "--status: 'done' is not among initiated"),
        (["list", "--since", "yesterday"], 2, "--since: must be like"),
        (["get", "call-00000000-0000-4000-8000-000000000000"], 1, "call-0000"),
        (["list", "--address", "127.0.0.1:1", "--tls-cert", "x"], 2, "--tls-cert and --tls-key"),
    ],
)
async def test_what_is_wrong_is_one_sentence(stack: Stack, words: list[str], status: int, said: str) -> None:
    done = await calls(stack, *words)
    assert (done.exit_code, done.stdout) == (status, "")
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "content", "said"),
    [
        ("--settings", '{"moon": 1}', "--settings: "),
        ("--tools", "{}", "must hold a JSON list"),
        ("--tools", "[", "is not JSON"),
    ],
)
async def test_a_file_that_is_no_good_is_named(
    stack: Stack, tmp_path: Path, option: str, content: str, said: str
) -> None:
    path = tmp_path / "file.json"
    path.write_text(content)
    done = await calls(stack, "create", "+15555550167", "--prompt", "x", option, str(path))
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
