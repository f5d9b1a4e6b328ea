"""Calls through every real part: REST, Temporal, Twilio's wire, media plane, Gemini's wire, Postgres."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from temporalio.client import Client as TemporalClient
from temporalio.client import WorkflowExecutionStatus

from bench.demo.analysis import audible_seconds, read_wav
from bench.demo.api import Client
from bench.demo.persona import AUDIO
from control_plane.devstack.stack import Stack
from protos.voiceplane.events.v1.events_pb2 import CallEvent
from tests.support.eventually import eventually

GREETING = "Hello! How can I help you today?"
PROMPT = "You are a helpful voice assistant."
SPEECH = str(AUDIO / "austen-0880.wav")
LISTENS = [
    {"wait": "agent_starts", "timeout_ms": 10_000},
    {"wait": "agent_stops", "for_ms": 300, "timeout_ms": 20_000},
]
STAYS = {"answer_after_ms": 100, "script": [{"pause_ms": 60_000}]}

Json = dict[str, Any]


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[Client]:
    client = Client.connect(stack.endpoints)
    yield client
    await client.close()


async def call(client: Client, number: str, persona: Json | None) -> str:
    if persona is not None:
        await client.put_persona(number, persona)
    return await client.create_call(number, GREETING, PROMPT)


async def get(client: Client, path: str) -> httpx.Response:
    return await client.http.get(client.endpoints["rest"] + path)


async def post(client: Client, path: str) -> httpx.Response:
    return await client.http.post(client.endpoints["rest"] + path)


async def status_becomes(client: Client, workflow_id: str, wanted: str) -> Json:
    async def reached() -> Json | None:
        state: Json = (await get(client, f"/calls/{workflow_id}")).json()
        return state if state["status"] == wanted else None

    return await eventually(reached, within_s=15)


async def events_until_over(client: Client, workflow_id: str) -> list[CallEvent]:
    return [event async for event in client.watch(workflow_id)]


async def test_a_conversation_is_heard_on_both_sides_and_kept(stack: Stack, client: Client) -> None:
    script = [*LISTENS, {"play": SPEECH}, *LISTENS, {"hangup": True}]
    workflow_id = await call(client, "+15555550110", {"answer_after_ms": 300, "script": script})
    state = (await get(client, f"/calls/{workflow_id}")).json()
    assert state["workflow_id"] == workflow_id
    assert state["call_config"]["phone_number"] == "+15555550110"
    assert state["call_config"]["greeting"] == GREETING

    events = await events_until_over(client, workflow_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    kinds = [event.WhichOneof("body") for event in events]
    assert kinds[0] == "session_ready"
    assert kinds[-1] == "stream_ended"

    result = await client.result(workflow_id)
    assert (result["status"], result["end_reason"]) == ("completed", "caller_hangup")
    assert result["duration_seconds"] > 5
    speakers = [line["speaker"] for line in result["transcript"]]
    assert speakers[:3] == ["agent", "caller", "agent"]
    assert result["transcript"][0]["text"] == GREETING
    assert result["transcript"][1]["text"] == "hello I have a question"
    assert all(line["start_ms"] <= line["end_ms"] for line in result["transcript"])
    answered = [turn for turn in result["turns"] if turn["response_ms"] >= 0]
    assert answered, "no turn answered the caller"
    # The script thinks for 300 ms after the end of a turn: an earlier answer would be a wrong measurement.
    assert answered[0]["response_ms"] > 300
    assert result["latency"]["uplink"]["frames"] > 250
    assert result["latency"]["prewarmed"] is True
    assert result["media"]["dropped_frames"] == 0

    call_sid = next(e.stream_started.call_sid for e in events if e.HasField("stream_started"))
    samples, rate = read_wav(await client.recording(call_sid))
    assert audible_seconds(samples[:, 0], rate) > 1.5
    assert audible_seconds(samples[:, 1], rate) > 1.5

    state = (await get(client, f"/calls/{workflow_id}")).json()
    assert (state["status"], state["transcript_count"]) == ("completed", len(result["transcript"]))
    temporal = await TemporalClient.connect(stack.endpoints["temporal"])

    async def completed() -> bool:  # the result can be read a moment before the workflow is done
        execution = await temporal.get_workflow_handle(workflow_id).describe()
        return execution.status is WorkflowExecutionStatus.COMPLETED

    await eventually(completed)
    twiml = await signed_twiml(stack, client, workflow_id)
    assert twiml == '<?xml version="1.0" encoding="UTF-8"?><Response><Hangup /></Response>'


async def signed_twiml(stack: Stack, client: Client, workflow_id: str) -> str:
    """Ask for the call's TwiML as Twilio does."""
    from twilio.request_validator import RequestValidator

    url = f"{stack.env['BASE_URL']}/twilio/twiml/{workflow_id}"
    form = {"CallSid": "CA" + "0" * 32, "CallStatus": "in-progress"}
    signature = RequestValidator(stack.env["TWILIO_AUTH_TOKEN"]).compute_signature(url, form)
    answer = await client.http.post(url, data=form, headers={"X-Twilio-Signature": signature})
    assert answer.status_code == 200
    return answer.text


async def test_while_it_lives_a_call_has_its_session_in_redis(stack: Stack, client: Client) -> None:
    workflow_id = await call(client, "+15555550111", STAYS)
    await status_becomes(client, workflow_id, "in_progress")
    async with Redis.from_url(stack.env["REDIS_URL"]) as redis:

        async def with_stream() -> Json | None:
            session: Json = json.loads(await redis.get(f"session:{workflow_id}"))
            return session if session["stream_sid"] else None

        session = await eventually(with_stream)
        assert 0 < await redis.ttl(f"session:{workflow_id}") <= 7200
    assert session["workflow_id"] == workflow_id
    assert workflow_id == f"call-{session['call_id']}"
    assert session["phone_number"] == "+15555550111"
    assert (session["greeting"], session["system_prompt"]) == (GREETING, PROMPT)
    assert session["stream_sid"].startswith("MZ")
    assert session["created_at"]

    early = await get(client, f"/calls/{workflow_id}/result")
    assert early.status_code == 409
    terminated = await post(client, f"/calls/{workflow_id}/terminate")
    assert terminated.status_code == 202
    result = await client.result(workflow_id)
    assert (result["status"], result["end_reason"]) == ("completed", "terminated")
    again = await post(client, f"/calls/{workflow_id}/terminate")
    assert again.status_code == 200


@pytest.mark.parametrize(
    ("number", "persona", "status", "reason"),
    [
        ("+15555550112", {"outcome": "busy", "answer_after_ms": 100}, "busy", "busy"),
        ("+15555550113", {"outcome": "no-answer", "answer_after_ms": 100}, "no_answer", "no_answer"),
        ("+15555550114", {"outcome": "failed", "answer_after_ms": 100}, "failed", "dial_failed"),
    ],
)
async def test_a_call_nobody_takes_ends_with_its_reason(
    client: Client, number: str, persona: Json, status: str, reason: str
) -> None:
    result = await client.result(await call(client, number, persona))
    assert (result["status"], result["end_reason"]) == (status, reason)
    assert (result["transcript"], result["turns"]) == ([], [])


@pytest.mark.parametrize(("number", "code"), [("+15005550001", "21217"), ("+15005550003", "21215")])
async def test_a_number_twilio_refuses_fails_with_a_plain_reason(
    client: Client, number: str, code: str
) -> None:
    result = await client.result(await call(client, number, None))
    assert (result["status"], result["end_reason"]) == ("failed", "dial_failed")
    assert code in result["error"]


async def test_the_duration_limit_ends_a_call(client: Client) -> None:
    await client.put_persona("+15555550115", STAYS)
    body = {
        "phone_number": "+15555550115",
        "greeting": "",
        "system_prompt": PROMPT,
        "max_duration_seconds": 2,
    }
    created = await client.http.post(client.endpoints["rest"] + "/calls", json=body)
    result = await client.result(created.json()["workflow_id"])
    assert (result["status"], result["end_reason"]) == ("completed", "max_duration")
    assert 1.5 < result["duration_seconds"] < 8


async def test_keys_pressed_by_the_callee_are_events(client: Client) -> None:
    script = [*LISTENS, {"press": "1#"}, {"pause_ms": 400}, {"hangup": True}]
    workflow_id = await call(client, "+15555550116", {"answer_after_ms": 100, "script": script})
    events = await events_until_over(client, workflow_id)
    assert [e.dtmf_received.digit for e in events if e.HasField("dtmf_received")] == ["1", "#"]


async def test_speaking_over_the_agent_silences_it(client: Client) -> None:
    script = [*LISTENS, {"play": SPEECH}, {"barge_in": {"play": SPEECH}, "after_ms": 500}, *LISTENS]
    script.append({"hangup": True})
    workflow_id = await call(client, "+15555550117", {"answer_after_ms": 100, "script": script})
    events = await events_until_over(client, workflow_id)
    cuts = [e.interrupted for e in events if e.HasField("interrupted")]
    assert len(cuts) == 1
    assert cuts[0].discarded_ms > 0
    call_sid = next(e.stream_started.call_sid for e in events if e.HasField("stream_started"))
    assert [e for e in await client.timeline(call_sid) if e["kind"] == "clear"]
    result = await client.result(workflow_id)
    assert [line["interrupted"] for line in result["transcript"] if line["speaker"] == "agent"].count(
        True
    ) == 1


async def test_calls_side_by_side_do_not_mix(client: Client) -> None:
    script = [*LISTENS, {"play": SPEECH}, *LISTENS, {"hangup": True}]
    numbers = [f"+1555555012{n}" for n in range(3)]
    ids = await asyncio.gather(
        *(call(client, number, {"answer_after_ms": 100, "script": script}) for number in numbers)
    )
    results = await asyncio.gather(*(client.result(each, timeout_s=60) for each in ids))
    for number, result in zip(numbers, results, strict=True):
        assert (result["status"], result["phone_number"]) == ("completed", number)
        assert [line["speaker"] for line in result["transcript"]][:3] == ["agent", "caller", "agent"]


async def test_health_names_every_dependency(client: Client) -> None:
    report = (await get(client, "/health")).json()
    assert report["status"] == "ok"
    assert {"postgres", "redis", "temporal"} <= report["dependencies"].keys()
    assert all(found["ok"] and found["latency_ms"] >= 0 for found in report["dependencies"].values())


@pytest.mark.parametrize("name", ["control_metrics", "media_metrics", "worker_metrics"])
async def test_every_process_of_ours_is_scraped(client: Client, name: str) -> None:
    text = (await client.http.get(client.endpoints[name])).text
    assert "voiceplane_" in text
