"""What a telephone can do besides talking, through every real part."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bench.demo.api import Client
from bench.demo.persona import AUDIO
from control_plane.devstack.stack import Stack
from tests.support.eventually import eventually

GREETING = "Hello! How can I help you today?"
PROMPT = "You are a helpful voice assistant."
SPEECH = str(AUDIO / "austen-0880.wav")
OURS = "+15005550006"  # the simulated account's
LISTENS = [
    {"wait": "agent_starts", "timeout_ms": 10_000},
    {"wait": "agent_stops", "for_ms": 300, "timeout_ms": 20_000},
]
HANGS_UP = {"hangup": True}

Json = dict[str, Any]


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[Client]:
    client = Client.connect(stack.endpoints)
    yield client
    await client.close()


def rest(client: Client, path: str) -> str:
    return client.endpoints["rest"] + path


async def create(client: Client, number: str, script: list[Json], **more: Any) -> str:
    persona = more.pop("persona", {})
    await client.put_persona(number, {"answer_after_ms": 100, "script": script, **persona})
    body = {"phone_number": number, "greeting": GREETING, "system_prompt": PROMPT, **more}
    created = await client.http.post(rest(client, "/calls"), json=body)
    assert created.status_code == 201, created.text
    workflow_id: str = created.json()["workflow_id"]
    return workflow_id


async def simulated(client: Client, number: str, field: str = "to") -> Json:
    """The newest call at Twilio to (or from) this number, once there is one."""

    async def found() -> Json | None:
        calls = (await client.http.get(client.endpoints["twilio_admin"] + "/calls")).json()
        return next((each for each in reversed(calls) if each[field] == number), None)

    call = await eventually(found, within_s=20)
    assert call is not None
    return call


async def simulated_becomes(client: Client, sid: str, test: Any, within_s: float = 30) -> Json:
    seen: list[Json] = []

    async def found() -> Json | None:
        call: Json = (await client.http.get(f"{client.endpoints['twilio_admin']}/calls/{sid}")).json()
        seen[:] = [call]
        return call if test(call) else None

    try:
        call = await eventually(found, within_s=within_s)
    except TimeoutError:
        raise AssertionError(
            f"the simulated call is still {seen} and went {await timeline(client, sid)}"
        ) from None
    assert call is not None
    return call


async def timeline(client: Client, sid: str) -> list[Json]:
    answer = await client.http.get(f"{client.endpoints['twilio_admin']}/calls/{sid}/timeline")
    events: list[Json] = answer.json()
    return events


async def result(client: Client, workflow_id: str) -> Json:
    async def found() -> Json | None:
        answer = await client.http.get(rest(client, f"/calls/{workflow_id}/result"))
        return answer.json() if answer.status_code == 200 else None

    found_ = await eventually(found, within_s=60)
    assert found_ is not None
    return found_


def said(outcome: Json) -> list[tuple[str, str]]:
    return [(line["speaker"], line["text"]) for line in outcome["transcript"]]


async def test_a_call_to_our_number_is_answered_by_the_numbers_agent(stack: Stack, client: Client) -> None:
    profile = {"system_prompt": "You answer for {{company}}, {{caller}} calls.", "greeting": GREETING}
    made = await client.http.post(
        rest(client, "/agents"), json={"name": "e2e-receptionist", "profile": profile}
    )
    assert made.status_code == 201, made.text
    put = await client.http.put(
        rest(client, f"/numbers/{OURS}"),
        json={"agent": "e2e-receptionist", "variables": {"company": "Fern"}},
    )
    assert put.status_code == 200, put.text
    script = [*LISTENS, {"play": SPEECH}, *LISTENS, HANGS_UP]
    rung = await client.http.post(
        client.endpoints["twilio_admin"] + "/calls",
        json={"from": "+15555550201", "to": OURS, "persona": {"script": script}},
    )
    assert rung.status_code == 201, rung.text
    call = await simulated_becomes(client, rung.json()["sid"], lambda call: call["ended"])
    assert [each["verb"] for each in call["verbs"]] == ["Stream"]
    stream_url = call["stream"]["url"]
    workflow_id = stream_url.split("/")[-2]
    outcome = await result(client, workflow_id)
    assert (outcome["status"], outcome["end_reason"]) == ("completed", "caller_hangup")
    assert outcome["phone_number"] == "+15555550201"
    assert said(outcome)[:2] == [("agent", GREETING), ("caller", "hello I have a question")]
    assert outcome["latency"]["prewarmed"] is True


async def test_a_number_that_nobody_answers_is_rejected(stack: Stack, client: Client) -> None:
    rung = await client.http.post(
        client.endpoints["twilio_admin"] + "/calls", json={"from": "+15555550202", "to": "+15005550009"}
    )
    call = await simulated_becomes(client, rung.json()["sid"], lambda call: call["ended"])
    assert [each["verb"] for each in call["verbs"]] == ["Reject"]
    assert call["status"] == "no-answer"


async def test_keys_go_both_ways_without_losing_the_conversation(stack: Stack, client: Client) -> None:
    script = [
        *LISTENS,
        {"press": "12#"},
        {"pause_ms": 8000},
        {"play": SPEECH},
        *LISTENS,
        HANGS_UP,
    ]
    workflow_id = await create(client, "+15555550203", script)
    call = await simulated(client, "+15555550203")
    await simulated_becomes(client, call["sid"], lambda call: call["stream"] and call["stream"]["dtmf"] == 3)
    pressed = await client.http.post(rest(client, f"/calls/{workflow_id}/dtmf"), json={"digits": "4w2"})
    assert pressed.status_code < 300, pressed.text
    call = await simulated_becomes(client, call["sid"], lambda call: call["ended"])
    assert [each["verb"] for each in call["verbs"]] == ["Stream", "Play", "Stream"]
    assert len(call["streams"]) == 2
    outcome = await result(client, workflow_id)
    assert (outcome["status"], outcome["end_reason"]) == ("completed", "caller_hangup")
    lines = said(outcome)
    assert lines[0] == ("agent", GREETING)
    assert ("caller", "hello I have a question") in lines
    assert lines[-1][0] == "agent"
    heard = [each for each in await timeline(client, call["sid"]) if each["kind"] == "dtmf_heard"]
    assert [each["digits"] for each in heard] == ["4w2"]
    events = [event async for event in client.watch(workflow_id)]
    keys = [event.dtmf_received.digit for event in events if event.HasField("dtmf_received")]
    assert keys == ["1", "2", "#"]


async def test_a_message_is_left_in_full_after_the_beep(stack: Stack, client: Client) -> None:
    message = "This is the clinic. Please call us back before Friday."
    workflow_id = await create(
        client,
        "+15555550204",
        [{"play": SPEECH}, {"beep": True}, {"pause_ms": 30_000}],
        persona={"outcome": "voicemail", "answered_by": "machine"},
        on_voicemail="leave_message",
        voicemail_message=message,
    )
    call = await simulated(client, "+15555550204")
    call = await simulated_becomes(client, call["sid"], lambda call: call["ended"])
    assert [each["verb"] for each in call["verbs"]] == ["Stream", "Say", "Hangup"]
    assert call["answered_by"] == "machine_end_beep"
    events = await timeline(client, call["sid"])
    verdict = next(each["ms"] for each in events if each["kind"] == "amd")
    message_began = next(e["ms"] for e in events if e["kind"] == "twiml" and e["verb"] == "Say")
    assert message_began >= verdict
    assert call["verbs"][1]["took_ms"] > 1000, "the message was cut"
    outcome = await result(client, workflow_id)
    assert (outcome["status"], outcome["end_reason"]) == ("completed", "voicemail")


async def test_a_machine_is_hung_up_on(stack: Stack, client: Client) -> None:
    workflow_id = await create(
        client,
        "+15555550205",
        [{"play": SPEECH}, {"beep": True}, {"pause_ms": 30_000}],
        persona={"outcome": "voicemail", "answered_by": "machine"},
        on_voicemail="hang_up",
    )
    outcome = await result(client, workflow_id)
    assert (outcome["status"], outcome["end_reason"]) == ("completed", "voicemail")
    call = await simulated(client, "+15555550205")
    assert [each["verb"] for each in call["verbs"]] == ["Stream"]


async def transfer(client: Client, workflow_id: str, **body: Any) -> None:
    """As soon as the call has its stream."""

    async def taken() -> bool:
        answer = await client.http.post(rest(client, f"/calls/{workflow_id}/transfer"), json=body)
        assert answer.status_code < 300 or answer.json()["code"] == "CALL_NOT_LIVE", answer.text
        return answer.status_code < 300

    await eventually(taken, within_s=20)


async def test_a_cold_transfer_joins_the_two_and_lets_the_model_go(stack: Stack, client: Client) -> None:
    await client.put_persona(
        "+15555550207", {"answer_after_ms": 300, "script": [{"play": SPEECH}, {"pause_ms": 500}, HANGS_UP]}
    )
    workflow_id = await create(client, "+15555550206", [*LISTENS, {"pause_ms": 60_000}])
    call = await simulated(client, "+15555550206")
    await transfer(client, workflow_id, to="+15555550207", mode="cold", timeout_seconds=20)
    outcome = await result(client, workflow_id)
    assert (outcome["status"], outcome["end_reason"]) == ("completed", "transferred")
    call = await simulated_becomes(client, call["sid"], lambda call: call["ended"])
    assert [each["verb"] for each in call["verbs"]] == ["Stream", "Dial", "Hangup"]


@pytest.mark.parametrize(("number", "person"), [("+15555550208", "busy"), ("+15555550209", "no-answer")])
async def test_who_is_not_reached_leaves_the_caller_with_the_agent(
    stack: Stack, client: Client, number: str, person: str
) -> None:
    to = number[:-3] + "3" + number[-2:]
    await client.put_persona(to, {"answer_after_ms": 300, "outcome": person})
    script = [*LISTENS, {"pause_ms": 7000}, {"play": SPEECH}, *LISTENS, HANGS_UP]
    workflow_id = await create(client, number, script)
    call = await simulated(client, number)
    await transfer(client, workflow_id, to=to, mode="cold", timeout_seconds=5)
    call = await simulated_becomes(client, call["sid"], lambda call: call["ended"], within_s=45)
    assert [each["verb"] for each in call["verbs"]] == ["Stream", "Dial", "Stream"]
    outcome = await result(client, workflow_id)
    assert (outcome["status"], outcome["end_reason"]) == ("completed", "caller_hangup")
    assert ("caller", "hello I have a question") in said(outcome)


async def test_a_person_who_presses_1_takes_the_call(stack: Stack, client: Client) -> None:
    person = [{"wait": "agent_starts"}, {"press": "1"}, {"pause_ms": 2500}, {"play": SPEECH}, HANGS_UP]
    await client.put_persona("+15555550311", {"answer_after_ms": 300, "script": person})
    workflow_id = await create(client, "+15555550210", [*LISTENS, {"pause_ms": 60_000}])
    call = await simulated(client, "+15555550210")
    await transfer(client, workflow_id, to="+15555550311", mode="warm", summary="Ada asks for tea.")
    outcome = await result(client, workflow_id)
    assert (outcome["status"], outcome["end_reason"]) == ("completed", "transferred")
    taken = await simulated_becomes(
        client, (await simulated(client, "+15555550311"))["sid"], lambda c: c["ended"]
    )
    assert [each["verb"] for each in taken["verbs"]] == ["Gather", "Conference"]
    call = await simulated_becomes(client, call["sid"], lambda call: call["ended"])
    assert [each["verb"] for each in call["verbs"]] == ["Stream", "Conference", "Hangup"]
    kinds = [each["kind"] for each in await timeline(client, call["sid"])]
    assert "heard_start" in kinds[kinds.index("conference_joined") :], "the caller hears the person"


async def test_a_person_who_declines_leaves_the_caller_with_the_agent(stack: Stack, client: Client) -> None:
    await client.put_persona(
        "+15555550313", {"answer_after_ms": 300, "script": [{"wait": "agent_starts"}, {"press": "2"}]}
    )
    script = [*LISTENS, {"pause_ms": 6000}, {"play": SPEECH}, *LISTENS, HANGS_UP]
    workflow_id = await create(client, "+15555550212", script)
    call = await simulated(client, "+15555550212")
    await transfer(client, workflow_id, to="+15555550313", mode="warm", summary="Ada asks for tea.")
    outcome = await result(client, workflow_id)
    assert (outcome["status"], outcome["end_reason"]) == ("completed", "caller_hangup")
    assert ("caller", "hello I have a question") in said(outcome)
    call = await simulated_becomes(client, call["sid"], lambda call: call["ended"])
    assert [each["verb"] for each in call["verbs"]] == ["Stream"]


async def test_a_caller_who_hangs_up_mid_word_leaves_a_transcript_and_a_result(
    stack: Stack, client: Client
) -> None:
    script = [*LISTENS, {"play": SPEECH}, {"wait": "agent_starts"}, {"pause_ms": 300}, HANGS_UP]
    workflow_id = await create(client, "+15555550214", script)
    outcome = await result(client, workflow_id)
    assert (outcome["status"], outcome["end_reason"]) == ("completed", "caller_hangup")
    assert said(outcome)[:2] == [("agent", GREETING), ("caller", "hello I have a question")]


@pytest.mark.parametrize(("number", "word"), [("+15555550215", "busy"), ("+15555550216", "no-answer")])
async def test_nobody_takes_the_call(stack: Stack, client: Client, number: str, word: str) -> None:
    workflow_id = await create(client, number, [], persona={"outcome": word})
    outcome = await result(client, workflow_id)
    status = word.replace("-", "_")
    assert (outcome["status"], outcome["end_reason"]) == (status, status)
    assert outcome["transcript"] == []
