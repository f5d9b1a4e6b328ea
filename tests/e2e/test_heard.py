"""What is stored of an answer that was cut off, against what the callee's telephone played."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bench.demo.api import Client
from bench.demo.persona import AUDIO
from control_plane.devstack.stack import Stack

Json = dict[str, Any]

SPEECH = str(AUDIO / "austen-0880.wav")
REPLY = (
    "Certainly. Please tell me what you would like to know and I will do my best."  # scripted.yaml's first
)
REPLY_MS = 330 * len(REPLY.split())  # of the tone that stands for it
LISTENS: list[Json] = [
    {"wait": "agent_starts", "timeout_ms": 10_000},
    {"wait": "agent_stops", "for_ms": 300, "timeout_ms": 20_000},
]


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[Client]:
    client = Client.connect(stack.endpoints)
    yield client
    await client.close()


def words_played(ms: float) -> list[str]:
    """The words that lie wholly in the first `ms` of the reply: the simulator spreads them over the tone by
    their letters."""
    played, letters = [], 0
    for word in REPLY.split():
        letters += 1 + len(word)
        if letters / len(REPLY) * REPLY_MS <= ms:
            played.append(word)
    return played


async def call(client: Client, number: str, script: list[Json]) -> tuple[Json, list[Json]]:
    """The stored result and the telephone's timeline of a call with this script."""
    await client.put_persona(number, {"answer_after_ms": 100, "script": script})
    workflow_id = await client.create_call(number, "Hello!", "You are a helpful voice assistant.")
    call_sid = ""
    async for event in client.watch(workflow_id):
        if event.HasField("stream_started"):
            call_sid = event.stream_started.call_sid
    return await client.result(workflow_id), await client.timeline(call_sid)


def cut_answer(result: Json) -> Json:
    (line,) = [line for line in result["transcript"] if line["speaker"] == "agent" and line["interrupted"]]
    return dict(line)


def heard_ms(timeline: list[Json], end: str) -> float:
    """How long the utterance was audible that was heard last before `end`."""
    until = next(each["ms"] for each in timeline if each["kind"] == end)
    return float(until - [e["ms"] for e in timeline if e["kind"] == "heard_start" and e["ms"] < until][-1])


async def test_only_words_that_were_played_are_stored_as_heard_and_the_model_is_told(client: Client) -> None:
    script = [*LISTENS, {"play": SPEECH}, {"barge_in": {"play": SPEECH}, "after_ms": 2500}, *LISTENS]
    result, timeline = await call(client, "+15555550171", [*script, {"hangup": True}])
    line = cut_answer(result)
    played = words_played(heard_ms(timeline, "clear") + 20)
    kept = line["text"].split()
    assert kept, "nothing was kept of two and a half seconds"
    assert kept == played[: len(kept)]
    rest = line["unheard_text"].split()
    assert rest
    assert kept + rest == REPLY.split()[: len(kept) + len(rest)]
    others = [each for each in result["transcript"] if each is not line and not each["interrupted"]]
    assert all(each["unheard_text"] == "" for each in others)
    notes = await notes_to_the_model(client)
    assert [note for note in notes if f'"{line["text"]}"' in note]


async def notes_to_the_model(client: Client) -> list[str]:
    """Turns that the model was sent and not asked to answer."""
    admin = client.endpoints["gemini_admin"]
    sessions = (await client.http.get(f"{admin}/sessions")).json()
    notes = []
    for session in sessions:
        for line in (await client.http.get(f"{admin}/sessions/{session['id']}/log")).json():
            if line["kind"] == "clientContent" and not line["body"].get("turnComplete"):
                notes += [turn["parts"][0]["text"] for turn in line["body"]["turns"]]
    return notes


async def test_a_callee_who_hangs_up_has_heard_no_more_than_was_played(client: Client) -> None:
    script = [*LISTENS, {"play": SPEECH}, {"wait": "agent_starts", "timeout_ms": 10_000}, {"pause_ms": 2500}]
    result, timeline = await call(client, "+15555550172", [*script, {"hangup": True}])
    line = cut_answer(result)
    kept = line["text"].split()
    played = words_played(heard_ms(timeline, "hangup") + 20)
    assert kept
    assert kept == played[: len(kept)]
    assert line["unheard_text"].split()
