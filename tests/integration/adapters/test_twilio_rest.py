"""Placing, finding and ending calls over Twilio's REST API, and what each failure is taken for."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from control_plane.adapters.twilio_rest import TwilioRest
from control_plane.errors import DependencyUnavailable, DialAmbiguous, DialLater, DialRefused
from control_plane.settings import Settings
from tests.support.twilio_api import (
    ACCOUNT_SID,
    AUTH_TOKEN,
    NUMBER,
    Failure,
    TwilioApi,
    running_twilio_api,
)

TO = "+14155550100"


def rest_for(base_url: str) -> TwilioRest:
    settings = Settings(
        _env_file=None,
        base_url="https://voice.example.com/",
        twilio_account_sid=ACCOUNT_SID,
        twilio_auth_token=AUTH_TOKEN,
        twilio_phone_number=NUMBER,
        twilio_api_base_url=base_url,
    )
    return TwilioRest(settings, request_timeout_s=0.5)


@pytest.fixture
async def api() -> AsyncIterator[TwilioApi]:
    async with running_twilio_api() as api:
        yield api


@pytest.fixture
async def rest(api: TwilioApi) -> AsyncIterator[TwilioRest]:
    rest = rest_for(api.base_url)
    yield rest
    await rest.close()


async def dial(rest: TwilioRest, workflow_id: str = "call-1") -> str:
    return (await rest.dial(to=TO, workflow_id=workflow_id, time_limit_s=630)).call_sid


def just_now() -> str:
    return datetime.now(UTC).isoformat()


async def test_a_call_is_placed_with_our_webhooks_and_limits(api: TwilioApi, rest: TwilioRest) -> None:
    sid = await dial(rest)
    assert api.calls[sid].params == {
        "To": [TO],
        "From": [NUMBER],
        "Url": ["https://voice.example.com/twilio/twiml/call-1"],
        "StatusCallback": ["https://voice.example.com/twilio/status/call-1"],
        "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
        "Timeout": ["30"],
        "TimeLimit": ["630"],
    }


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (400, 21211, "no valid phone number"),
        (400, 21215, "geographic permissions"),
        (401, 20003, "does not accept the account's credentials"),
        (400, 21210, "neither owned by nor verified for"),
        (400, 21999, "message of 21999"),
    ],
)
@pytest.mark.parametrize("rfc9457", [False, True])
async def test_a_refusal_names_its_code_and_its_sense(
    api: TwilioApi, rest: TwilioRest, status: int, code: int, says: str, rfc9457: bool
) -> None:
    api.failures = [Failure(status=status, code=code, rfc9457=rfc9457)]
    with pytest.raises(DialRefused) as refused:
        await dial(rest)
    assert refused.value.code == code
    assert f"Twilio error {code}: " in str(refused.value)
    assert says in str(refused.value)


async def test_too_many_requests_means_ask_again(api: TwilioApi, rest: TwilioRest) -> None:
    api.failures = [Failure(status=429, code=20429)]
    with pytest.raises(DialLater):
        await dial(rest)
    assert await dial(rest) in api.calls


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("7", 7), ("", 2), ("0", 1), ("86400", 60), ("Mon, 05 Jan 2026 12:00:00 GMT", 2), ("-1", 2)],
)
async def test_when_to_ask_again_is_taken_from_the_answer_within_reason(
    api: TwilioApi, rest: TwilioRest, retry_after: str, seconds: int
) -> None:
    api.failures = [Failure(status=429, code=20429, retry_after=retry_after)]
    with pytest.raises(DialLater) as later:
        await dial(rest)
    assert later.value.retry_after_s == seconds


async def test_a_call_says_how_long_it_will_wait_at_twilio(api: TwilioApi, rest: TwilioRest) -> None:
    api.queue_ms = 1700
    placed = await rest.dial(to=TO, workflow_id="call-1", time_limit_s=630)
    assert placed.queue_ms == 1700


async def test_a_call_that_belongs_to_somebody_else_is_not_found(api: TwilioApi, rest: TwilioRest) -> None:
    since = just_now()
    api.failures = [Failure(place=True)]
    with pytest.raises(DialAmbiguous):
        await dial(rest)
    (sid,) = api.calls

    async def found(answer: bool) -> str | None:
        async def may_be_ours(asked: str) -> bool:
            assert asked == sid
            return answer

        return await rest.find_recent(to=TO, workflow_id="call-1", since=since, may_be_ours=may_be_ours)

    assert await found(False) is None
    assert await found(True) == sid


@pytest.mark.parametrize(
    "failure",
    [
        Failure(place=True, status=-1),
        Failure(place=True, status=0),
        Failure(place=True, status=500, code=20500),
        Failure(place=True, status=502),
        Failure(place=True, status=201),
    ],
    ids=["no answer", "connection lost", "500", "502 in HTML", "201 in HTML"],
)
async def test_no_word_after_the_request_was_sent_is_ambiguous_and_the_call_can_be_found(
    api: TwilioApi, rest: TwilioRest, failure: Failure
) -> None:
    since = just_now()
    api.failures = [failure]
    with pytest.raises(DialAmbiguous):
        await dial(rest)
    found = await rest.find_recent(to=TO, workflow_id="call-1", since=since)
    assert [found] == list(api.calls)


async def test_a_connection_refused_is_safe_to_repeat() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        rest = rest_for(f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(DependencyUnavailable):
            await dial(rest)
        await rest.close()


async def test_a_server_that_accepts_and_says_nothing_is_ambiguous() -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    async with server:
        rest = rest_for(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(DialAmbiguous):
            await dial(rest)
        await rest.close()


async def test_only_calls_of_this_workflow_to_this_number_since_its_start_are_found(
    api: TwilioApi, rest: TwilioRest
) -> None:
    old = await dial(rest, "call-before")
    api.calls[old].created = datetime.now(UTC) - timedelta(minutes=5)
    await dial(rest, "call-of-another")
    since = just_now()
    assert await rest.find_recent(to=TO, workflow_id="call-1", since=since) is None
    assert await rest.find_recent(to="+14155550199", workflow_id="call-1", since=since) is None
    mine = await dial(rest, "call-1")
    assert await rest.find_recent(to=TO, workflow_id="call-1", since=since) == mine


async def test_twilio_being_away_is_no_answer_to_whether_a_call_was_placed(
    api: TwilioApi, rest: TwilioRest
) -> None:
    api.list_failures = 1
    with pytest.raises(DependencyUnavailable):
        await rest.find_recent(to=TO, workflow_id="call-1", since=just_now())


async def test_a_call_is_ended_once_and_ending_it_again_is_no_error(api: TwilioApi, rest: TwilioRest) -> None:
    sid = await dial(rest)
    await rest.end(sid, "completed")
    assert api.calls[sid].status == "completed"
    await rest.end(sid, "completed")
    await rest.end(f"CA{uuid.uuid4().hex}", "completed")


async def test_ending_a_call_while_twilio_is_away_can_be_tried_again() -> None:
    rest = rest_for("http://127.0.0.1:1")
    with pytest.raises(DependencyUnavailable):
        await rest.end("CA1", "completed")
    await rest.close()
