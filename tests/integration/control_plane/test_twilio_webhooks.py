from __future__ import annotations

import asyncio
import time
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from control_plane.adapters.sessions import RedisSessions
from tests.support.control import NEW_CALL, Control, control_settings, new_workflow_id, running_control
from tests.support.eventually import eventually
from tests.support.records import session
from tests.support.stack import Servers
from workflows.contracts import TwilioStatus

CALL_SID = "CA" + "1" * 32
FIELDS = {
    "CallSid": CALL_SID,
    "AccountSid": "AC" + "0" * 32,
    "From": "+15550001111",
    "To": "+15551234567",
    "CallStatus": "in-progress",
    "Direction": "outbound-api",
    "ApiVersion": "2010-04-01",
    "ToState": "",
    "CalledCity": "São Paulo & Zürich",
}
STREAM_URL = "wss://node-1.example.com/twilio/ws/media/call-x/token?a=1&b=2"
HANGUP = '<?xml version="1.0" encoding="UTF-8"?><Response><Hangup /></Response>'


def status_fields(status: str, sequence: int, **more: str) -> dict[str, str]:
    return FIELDS | {
        "CallStatus": status,
        "SequenceNumber": str(sequence),
        "CallbackSource": "call-progress-events",
        "Timestamp": "Sun, 22 Nov 2026 18:00:00 +0000",
        **more,
    }


# -- TwiML ---------------------------------------------------------------------------------------------------


async def test_a_live_call_is_streamed_to_its_media_node(control: Control, sessions: RedisSessions) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="ringing", stream_url=STREAM_URL))

    response = await control.webhook(f"/twilio/twiml/{workflow_id}", FIELDS)

    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/xml")
    (connect,) = ET.fromstring(response.text)
    assert connect.tag == "Connect"
    assert connect.attrib["action"] == (f"https://localhost/twilio/twiml/{workflow_id}?after=stream")
    (stream,) = connect
    assert (stream.tag, stream.attrib["url"]) == ("Stream", STREAM_URL)
    (parameter,) = stream
    assert parameter.attrib == {"name": "workflow_id", "value": workflow_id}


async def test_the_request_for_twiml_leaves_the_call_sid_in_the_session(
    control: Control, sessions: RedisSessions
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, stream_url=STREAM_URL))

    await control.webhook(f"/twilio/twiml/{workflow_id}", FIELDS)

    kept = await sessions.get(workflow_id)
    assert kept is not None
    assert kept.call_sid == CALL_SID


async def test_twiml_waits_for_a_media_leg_that_is_being_prepared(
    control: Control, sessions: RedisSessions
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="ringing"))
    asked = asyncio.create_task(control.webhook(f"/twilio/twiml/{workflow_id}", FIELDS))

    async def asked_for() -> bool:  # the call's sid is noted first
        kept = await sessions.get(workflow_id)
        return kept is not None and bool(kept.call_sid)

    await eventually(asked_for)
    assert not asked.done()

    await sessions.update(workflow_id, stream_url=STREAM_URL)

    assert "<Stream" in (await asked).text


@pytest.mark.parametrize("status", ["completed", "failed", "canceled"])
async def test_twiml_for_a_finished_call_is_hangup(
    control: Control, sessions: RedisSessions, status: str
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status=status, stream_url=STREAM_URL))

    response = await control.webhook(f"/twilio/twiml/{workflow_id}", FIELDS)

    assert (response.status_code, response.text) == (200, HANGUP)


@pytest.mark.parametrize("workflow_id", [new_workflow_id(), "call-1", "nonsense"])
async def test_twiml_for_an_unknown_call_is_hangup(control: Control, workflow_id: str) -> None:
    response = await control.webhook(f"/twilio/twiml/{workflow_id}", FIELDS)

    assert (response.status_code, response.text) == (200, HANGUP)


async def test_after_the_stream_has_ended_twilio_is_told_to_hang_up(
    control: Control, sessions: RedisSessions
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="in_progress", stream_url=STREAM_URL))

    response = await control.webhook(f"/twilio/twiml/{workflow_id}?after=stream", FIELDS)

    assert (response.status_code, response.text) == (200, HANGUP)


async def test_a_call_that_ends_while_its_media_leg_is_awaited_is_hung_up_at_once(
    control: Control, sessions: RedisSessions
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="ringing"))
    asked = asyncio.create_task(control.webhook(f"/twilio/twiml/{workflow_id}", FIELDS))

    await sessions.update(workflow_id, status="failed")

    assert (await asyncio.wait_for(asked, 5)).text == HANGUP


async def test_a_media_leg_that_never_comes_is_hung_up(servers: Servers, sessions: RedisSessions) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="ringing"))
    async with running_control(control_settings(servers), twiml_wait_s=0.2) as impatient:
        started = time.monotonic()
        response = await impatient.webhook(f"/twilio/twiml/{workflow_id}", FIELDS)

    assert (response.status_code, response.text) == (200, HANGUP)
    assert time.monotonic() - started < 5


# -- signatures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["twiml", "status"])
@pytest.mark.parametrize("token", ["", "another-token"])
async def test_a_webhook_not_signed_with_our_token_is_refused_with_403(
    control: Control, sessions: RedisSessions, hook: str, token: str
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, stream_url=STREAM_URL))
    before = await _rejected(control, hook)

    response = await control.webhook(
        f"/twilio/{hook}/{workflow_id}", status_fields("ringing", 1), token=token
    )

    assert response.status_code == 403
    assert "token" not in response.text
    assert await _rejected(control, hook) == before + 1


async def test_a_changed_field_breaks_the_signature(control: Control) -> None:
    path = f"/twilio/status/{new_workflow_id()}"
    signed = control.http.build_request("POST", path)
    honest = await control.webhook(path, status_fields("ringing", 1))
    assert honest.status_code == 204

    forged = await control.http.post(
        signed.url,
        data=status_fields("completed", 1),
        headers={"X-Twilio-Signature": honest.request.headers["X-Twilio-Signature"]},
    )

    assert forged.status_code == 403


async def test_a_signature_for_another_call_does_not_fit(control: Control) -> None:
    honest = await control.webhook(f"/twilio/status/{new_workflow_id()}", FIELDS)

    replayed = await control.http.post(
        f"/twilio/status/{new_workflow_id()}", content=honest.request.content, headers=honest.request.headers
    )

    assert replayed.status_code == 403


async def test_repeated_and_empty_and_unknown_fields_are_covered_by_the_signature(control: Control) -> None:
    fields = {"CallSid": CALL_SID, "CallStatus": "ringing", "Empty": "", "Twice": ["b", "a", "b"]}

    response = await control.webhook(f"/twilio/status/{new_workflow_id()}", fields)

    assert response.status_code == 204


@pytest.mark.parametrize("body", [b"\xff\xfe=1", b"&".join(b"a%d=1" % n for n in range(500)), b"{}", b""])
async def test_a_body_that_is_no_form_is_refused_with_403(control: Control, body: bytes) -> None:
    response = await control.http.post(
        f"/twilio/twiml/{new_workflow_id()}", content=body, headers={"X-Twilio-Signature": "x"}
    )

    assert response.status_code == 403


async def test_without_an_auth_token_every_webhook_is_refused(servers: Servers) -> None:
    async with running_control(control_settings(servers, twilio_auth_token="")) as keyless:
        workflow_id = new_workflow_id()
        unsigned = await keyless.webhook(f"/twilio/twiml/{workflow_id}", FIELDS, token="")
        signed_with_nothing = await keyless.http.post(
            f"/twilio/twiml/{workflow_id}",
            headers={"X-Twilio-Signature": "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d"},
        )

    assert (unsigned.status_code, signed_with_nothing.status_code) == (403, 403)


# -- status callbacks ----------------------------------------------------------------------------------------


@pytest.fixture
async def call(control: Control, temporal: Client, worker: Worker) -> AsyncIterator[str]:
    workflow_id = (await control.http.post("/calls", json=NEW_CALL)).json()["workflow_id"]
    yield workflow_id
    await temporal.get_workflow_handle(workflow_id).signal("terminate", {"reason": ""})


async def test_status_callbacks_reach_the_workflow(
    control: Control, temporal: Client, sessions: RedisSessions, call: str
) -> None:
    path = f"/twilio/status/{call}"
    first = await control.webhook(path, status_fields("ringing", 1))
    last = await control.webhook(
        path, status_fields("completed", 3, CallDuration="42", Duration="1", SipResponseCode="200")
    )

    assert (first.status_code, last.status_code) == (204, 204)
    told = await temporal.get_workflow_handle(call).query("told", result_type=list[TwilioStatus])
    timestamp = "Sun, 22 Nov 2026 18:00:00 +0000"
    assert told == [
        TwilioStatus(CALL_SID, "ringing", 1, timestamp),
        TwilioStatus(CALL_SID, "completed", 3, timestamp, duration_seconds=42, sip_code=200),
    ]
    kept = await sessions.get(call)
    assert kept is not None
    assert kept.call_sid == CALL_SID


@pytest.mark.parametrize("workflow_id", [new_workflow_id(), "nonsense"])
async def test_a_status_callback_for_no_running_call_is_taken_quietly(
    control: Control, workflow_id: str
) -> None:
    response = await control.webhook(f"/twilio/status/{workflow_id}", status_fields("completed", 3))

    assert response.status_code == 204


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"CallStatus": "exploded"}, "CallStatus"),
        ({"CallStatus": ""}, "CallStatus"),
        ({"CallSid": ""}, "CallSid"),
        ({"SequenceNumber": "-1"}, "SequenceNumber"),
        ({"SequenceNumber": "9" * 40}, "SequenceNumber"),
        ({"CallDuration": "1e3"}, "CallDuration"),
        ({"SipResponseCode": "²"}, "SipResponseCode"),
    ],
)
async def test_a_signed_callback_with_bad_fields_is_refused_with_400_naming_the_field(
    control: Control, changes: dict[str, str], named: str
) -> None:
    response = await control.webhook(
        f"/twilio/status/{new_workflow_id()}", status_fields("ringing", 1) | changes
    )

    assert response.status_code == 400
    assert response.json()["detail"].startswith(named)


async def _rejected(control: Control, hook: str) -> float:
    text = (await control.http.get("/metrics")).text
    name = f'voiceplane_control_webhooks_rejected_total{{hook="{hook}",reason="signature"}}'
    return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)), 0.0)
