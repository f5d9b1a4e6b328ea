"""Twilio's webhooks about inbound calls, machines and transfers; what was overheard and is sent again."""

from __future__ import annotations

import asyncio
import base64
import hmac
import uuid
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from redis.asyncio import Redis
from temporalio.client import Client
from temporalio.worker import Worker

from control_plane.adapters.sessions import RedisSessions
from control_plane.service.inbound import workflow_id as inbound_id
from tests.support.control import NEW_CALL, Control, control_settings, new_workflow_id, running_control
from tests.support.eventually import eventually
from tests.support.records import session
from tests.support.stack import Servers
from workflows.contracts import CallParams, TwilioStatus

STREAM_URL = "wss://node-1.example.com/twilio/ws/media/call-x/token"
OURS = "+15005550006"


def new_sid() -> str:
    return "CA" + uuid.uuid4().hex


def of(call_sid: str, **more: str) -> dict[str, str]:
    return {"CallSid": call_sid, "AccountSid": "AC" + "0" * 32, "CallStatus": "in-progress", **more}


async def done(temporal: Client, workflow_id: str) -> list[str]:
    found: list[str] = await temporal.get_workflow_handle(workflow_id).query("done", result_type=list[str])
    return found


def verbs(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [element.tag for element in ET.fromstring(response.text)]


@pytest.fixture
async def call(control: Control, temporal: Client, worker: Worker) -> AsyncIterator[str]:
    workflow_id = (await control.http.post("/calls", json=NEW_CALL)).json()["workflow_id"]
    yield workflow_id
    await temporal.get_workflow_handle(workflow_id).signal("terminate", {"reason": ""})


# -- replay --------------------------------------------------------------------------------------------------


async def test_twiml_is_answered_again_at_once_and_refused_to_who_asks_much_later(
    control: Control, sessions: RedisSessions, redis: Redis
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="ringing", stream_url=STREAM_URL))
    path, fields = f"/twilio/twiml/{workflow_id}", of(new_sid())
    first = await control.webhook(path, fields)
    again = await control.webhook(path, fields)
    assert verbs(first) == ["Connect"]
    assert again.text == first.text

    async for key in redis.scan_iter("hook:*"):
        await redis.set(key, int(await redis.get(key)) - 60_000, keepttl=True)
    assert (await control.webhook(path, fields)).status_code == 403


async def test_news_told_twice_reaches_the_workflow_once(
    control: Control, temporal: Client, call: str
) -> None:
    path = f"/twilio/status/{call}"
    fields = of(new_sid(), CallStatus="ringing", SequenceNumber="1")
    answers = [await control.webhook(path, fields) for _ in range(3)]
    assert [each.status_code for each in answers] == [204, 204, 204]
    told = await temporal.get_workflow_handle(call).query("told", result_type=list[TwilioStatus])
    assert len(told) == 1


# -- the shared key ------------------------------------------------------------------------------------------


def signed_by_key(url: str, fields: Mapping[str, str], secret: str, key: str) -> dict[str, str]:
    text = url + "".join(name + fields[name] for name in sorted(fields))
    signature = base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha256")).decode()
    return {
        "X-Twilio-Signature": signature,
        "X-Twilio-Webhooks-Signature-Settings": f"key={key},algorithm=HMAC_SHA256",
        "Content-Type": "application/x-www-form-urlencoded",
    }


@pytest.mark.parametrize(
    ("key", "secret", "status"), [("k1", "s3cret", 200), ("k2", "s3cret", 403), ("k1", "other", 403)]
)
async def test_requests_signed_with_the_shared_key_are_twilios(
    servers: Servers, key: str, secret: str, status: int
) -> None:
    settings = control_settings(servers, twilio_shared_key_id="k1", twilio_shared_key_secret="s3cret")
    async with running_control(settings) as control:
        path, fields = f"/twilio/twiml/{new_workflow_id()}", of(new_sid())
        headers = signed_by_key(settings.base_url + path, fields, secret, key)
        answer = await control.http.post(path, content=urlencode(fields), headers=headers)
    assert answer.status_code == status


# -- inbound -------------------------------------------------------------------------------------------------


@pytest.fixture
async def receptionist(control: Control) -> str:
    name = f"receptionist-{uuid.uuid4().hex[:8]}"
    profile = {
        "system_prompt": "You answer for {{company}}; {{caller}} calls {{called}}.",
        "greeting": "Hello, this is {{company}}.",
    }
    made = await control.http.post("/agents", json={"name": name, "profile": profile})
    assert made.status_code == 201, made.text
    return name


def number() -> str:
    return f"+1415555{uuid.uuid4().int % 10_000:04d}"


async def test_an_inbound_call_runs_the_agent_of_its_number(
    control: Control, temporal: Client, worker: Worker, sessions: RedisSessions, receptionist: str
) -> None:
    ours, call_sid = number(), new_sid()
    body: dict[str, Any] = {"agent": receptionist, "variables": {"company": "Fern"}}
    put = await control.http.put(f"/numbers/{ours}", json=body)
    assert put.status_code == 200, put.text
    assert (await control.http.get(f"/numbers/{ours}")).json() == put.json()
    workflow_id = inbound_id(call_sid)

    async def prepared() -> None:
        async def known() -> bool:
            return await sessions.get(workflow_id) is not None

        await eventually(known)
        await sessions.update(workflow_id, stream_url=STREAM_URL)

    fields = of(call_sid, From="+15551230000", To=ours, CallStatus="ringing", Direction="inbound")
    ready = asyncio.create_task(prepared())
    answers = await asyncio.gather(*(control.webhook("/twilio/voice", fields) for _ in range(2)))
    await ready
    assert [verbs(each) for each in answers] == [["Connect"], ["Connect"]]
    handle = temporal.get_workflow_handle(workflow_id)
    params = await handle.query("params", result_type=CallParams)
    assert (params.direction, params.call_sid, params.own_number) == ("inbound", call_sid, ours)
    assert params.greeting_mode == "immediate"  # who calls is greeted
    assert params.phone_number == "+15551230000"
    assert params.system_prompt == f"You answer for Fern; +15551230000 calls {ours}."
    assert (params.greeting, params.agent_name) == ("Hello, this is Fern.", receptionist)

    over = of(call_sid, CallStatus="completed", CallDuration="7")
    assert (await control.webhook("/twilio/voice/status", over)).status_code == 204
    told = await handle.query("told", result_type=list[TwilioStatus])
    assert [each.status for each in told] == ["completed"]
    await handle.signal("terminate", {"reason": ""})


async def test_a_number_that_nobody_answers_is_rejected_politely(control: Control) -> None:
    fields = of(new_sid(), From="+15551230000", To=number(), CallStatus="ringing")
    answer = await control.webhook("/twilio/voice", fields)
    assert verbs(answer) == ["Reject"]
    assert 'reason="rejected"' in answer.text


@pytest.mark.parametrize(
    "body",
    [
        {"agent": "no-such-agent"},
        {"agent": ""},
        {},
        {"agent": "x", "extra": 1},
        {"agent": "x", "variables": {"a": 1}},
    ],
)
async def test_a_number_needs_an_agent_that_is_there(control: Control, body: dict[str, Any]) -> None:
    assert (await control.http.put(f"/numbers/{number()}", json=body)).status_code == 422


async def test_a_number_needs_its_agents_variables(control: Control, receptionist: str) -> None:
    answer = await control.http.put(f"/numbers/{number()}", json={"agent": receptionist})
    assert answer.status_code == 422
    assert "company" in answer.text


async def test_a_number_may_be_given_up(control: Control, receptionist: str) -> None:
    ours = number()
    body = {"agent": receptionist, "variables": {"company": "Fern"}}
    await control.http.put(f"/numbers/{ours}", json=body)
    listed = (await control.http.get("/numbers")).json()["numbers"]
    assert ours in [each["number"] for each in listed]
    for _ in range(2):
        assert (await control.http.delete(f"/numbers/{ours}")).status_code == 204
    assert (await control.http.get(f"/numbers/{ours}")).status_code == 404


# -- machines and transfers ----------------------------------------------------------------------------------


async def test_a_verdict_reaches_the_workflow_once(control: Control, temporal: Client, call: str) -> None:
    fields = {"CallSid": new_sid(), "AnsweredBy": "machine_end_beep", "MachineDetectionDuration": "3490"}
    for _ in range(2):
        assert (await control.webhook(f"/twilio/machine/{call}", fields)).status_code == 204
    assert await done(temporal, call) == ["machine machine_end_beep 3490"]


@pytest.mark.parametrize("fields", [{"CallSid": "CA1"}, {"CallSid": "CA1", "AnsweredBy": "cat"}])
async def test_a_verdict_that_is_none_is_refused(control: Control, fields: dict[str, str]) -> None:
    answer = await control.webhook(f"/twilio/machine/{new_workflow_id()}", fields)
    assert answer.status_code == 400


@pytest.mark.parametrize("workflow_id", [new_workflow_id(), "nonsense"])
async def test_news_for_no_running_call_is_taken_quietly(control: Control, workflow_id: str) -> None:
    verdict = {"CallSid": new_sid(), "AnsweredBy": "human"}
    assert (await control.webhook(f"/twilio/machine/{workflow_id}", verdict)).status_code == 204
    leg = await control.webhook(f"/twilio/transfer/{workflow_id}/1/leg", of(new_sid(), CallStatus="busy"))
    assert leg.status_code == 204
    for what in ("dialed", "pressed"):
        answer = await control.webhook(f"/twilio/transfer/{workflow_id}/1/{what}", of(new_sid(), Digits="1"))
        assert verbs(answer) == ["Hangup"]


async def test_who_was_not_reached_leaves_the_caller_to_the_agent(
    control: Control, temporal: Client, sessions: RedisSessions, call: str
) -> None:
    await sessions.update(call, stream_url=STREAM_URL)
    answer = await control.webhook(
        f"/twilio/transfer/{call}/1/dialed", of(new_sid(), DialCallStatus="no-answer")
    )
    assert verbs(answer) == ["Connect"]
    assert STREAM_URL in answer.text
    assert await done(temporal, call) == ["leg 1 over no-answer"]


async def test_after_the_two_have_talked_the_call_is_over(
    control: Control, temporal: Client, call: str
) -> None:
    await control.webhook(f"/twilio/transfer/{call}/1/leg", of(new_sid(), CallStatus="in-progress"))
    answer = await control.webhook(
        f"/twilio/transfer/{call}/1/dialed", of(new_sid(), DialCallStatus="completed")
    )
    assert verbs(answer) == ["Hangup"]
    assert await done(temporal, call) == ["leg 1 answered", "leg 1 answered"]


@pytest.mark.parametrize(
    ("digits", "verb", "told"),
    [("1", "Dial", "leg 2 accepted completed"), ("2", "Hangup", "leg 2 over completed")],
)
async def test_the_person_decides_by_a_key(
    control: Control, temporal: Client, call: str, digits: str, verb: str, told: str
) -> None:
    answer = await control.webhook(f"/twilio/transfer/{call}/2/pressed", of(new_sid(), Digits=digits))
    assert verbs(answer) == [verb]
    assert await done(temporal, call) == [told]
