"""Twilio's own client library against the simulator: it creates, fetches, lists, updates and validates."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from tests.support.twilio_sim import CALLEE, Bed, bed


@pytest.fixture
async def b() -> AsyncIterator[Bed]:
    async with bed() as it:
        yield it


@pytest.fixture
def client(b: Bed) -> Client:
    it = Client(b.config.account_sid, b.config.auth_token)
    it.api.base_url = b.simulator.rest_url
    return it


async def test_a_call_is_created_fetched_updated_and_its_callbacks_validated(b: Bed, client: Client) -> None:
    def create() -> Any:
        return client.calls.create(
            to=CALLEE,
            from_=b.config.number,
            url=b.twiml('<Connect><Stream url="{ws}/s"/></Connect>'),
            status_callback=f"{b.customer.url}/status",
            status_callback_event=["initiated", "ringing", "answered", "completed"],
            timeout=30,
            record=False,
            time_limit=600,
            async_amd="true",
            machine_detection="Enable",
        )

    call = await asyncio.to_thread(create)
    assert (call.status, call.direction, call.to, call._from) == (
        "queued",
        "outbound-api",
        CALLEE,
        b.config.number,
    )
    assert call.sid.startswith("CA")
    assert call.date_created.tzinfo is not None
    assert set(call.subresource_uris) >= {"recordings", "streams", "notifications"}

    await b.customer.until(lambda: b.customer.connections and b.customer.connections[0].of("media"))
    fetched = await asyncio.to_thread(client.calls(call.sid).fetch)
    assert (fetched.status, fetched.start_time is not None, fetched.queue_time) == ("in-progress", True, "0")

    ended = await asyncio.to_thread(lambda: client.calls(call.sid).update(status="completed"))
    assert (ended.status, ended.duration) == ("completed", str(int(ended.duration)))
    await b.ended(call.sid)
    assert b.customer.connections[0].messages[-1]["event"] == "stop"
    assert b.customer.statuses() == ["initiated", "ringing", "in-progress", "completed"]
    assert all(hook.valid for hook in b.customer.webhooks)


async def test_calls_are_listed_with_filters_and_pages(b: Bed, client: Client) -> None:
    numbers = [CALLEE, "+15551230002", CALLEE, CALLEE]
    sids = [(await b.create(To=number, Twiml="<Response/>")).json()["sid"] for number in numbers]
    for sid in sids:
        await b.ended(sid)
    hour = timedelta(hours=1)
    now = datetime.now(UTC)

    async def listed(**query: Any) -> list[str]:
        return [call.sid for call in await asyncio.to_thread(lambda: client.calls.list(**query))]

    assert await listed() == sids[::-1]
    assert await listed(page_size=1) == sids[::-1], "four pages"
    assert await listed(limit=2) == sids[:1:-1]
    assert await listed(to=CALLEE, start_time_after=now - hour) == [sids[3], sids[2], sids[0]]
    assert await listed(start_time_before=now - hour) == []
    assert await listed(status="completed", from_=b.config.number) == sids[::-1]
    assert await listed(status="in-progress") == []


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"to": "12345"}, 400, 21211),
        ({"to": "+15005550003"}, 400, 21215),
        ({"to": "+15005550004"}, 403, 21216),
        ({"from_": "+15551112222"}, 400, 21210),
        ({"url": "nowhere"}, 400, 21205),
    ],
)
async def test_a_refused_call_raises_twilios_number(
    b: Bed, client: Client, change: dict[str, str], status: int, code: int
) -> None:
    wanted = {"to": CALLEE, "from_": b.config.number, "url": "https://x.example/"} | change
    with pytest.raises(TwilioRestException) as caught:
        await asyncio.to_thread(lambda: client.calls.create(**wanted))
    assert (caught.value.status, caught.value.code) == (status, code)


async def test_wrong_credentials_raise_20003_and_unknown_calls_20404(b: Bed, client: Client) -> None:
    stranger = Client(b.config.account_sid, "wrong")
    stranger.api.base_url = b.simulator.rest_url
    with pytest.raises(TwilioRestException) as caught:
        await asyncio.to_thread(stranger.calls("CA" + "0" * 32).fetch)
    assert (caught.value.status, caught.value.code) == (401, 20003)
    with pytest.raises(TwilioRestException) as caught:
        await asyncio.to_thread(client.calls("CA" + "0" * 32).fetch)
    assert (caught.value.status, caught.value.code) == (404, 20404)


async def test_an_armed_error_is_raised_once(b: Bed, client: Client) -> None:
    await b.arm("api_error", code=20429, on="create")

    def create() -> Any:
        return client.calls.create(to=CALLEE, from_=b.config.number, twiml="<Response/>")

    with pytest.raises(TwilioRestException) as caught:
        await asyncio.to_thread(create)
    assert (caught.value.status, caught.value.code) == (429, 20429)
    await b.ended((await asyncio.to_thread(create)).sid)


async def test_a_call_that_is_over_can_not_be_updated(b: Bed, client: Client) -> None:
    sid = (await b.create(Twiml="<Response/>")).json()["sid"]
    await b.ended(sid)
    for change in ({"status": "completed"}, {"status": "canceled"}, {"twiml": "<Response/>"}):
        with pytest.raises(TwilioRestException) as caught:
            await asyncio.to_thread(lambda change=change: client.calls(sid).update(**change))
        assert (caught.value.status, caught.value.code) == (400, 21220)


async def test_a_ringing_call_can_be_canceled(b: Bed, client: Client) -> None:
    await b.persona({"answer_after_ms": 10_000})
    sid = (await b.create(Twiml="<Response/>")).json()["sid"]
    await b.customer.until(lambda: "ringing" in b.customer.statuses())
    canceled = await asyncio.to_thread(lambda: client.calls(sid).update(status="canceled"))
    assert canceled.status == "canceled"
    await b.ended(sid)
    assert b.customer.statuses()[-1] == "canceled"


async def test_a_lost_answer_leaves_a_call_behind(b: Bed, client: Client) -> None:
    await b.arm("api_lost_response", on="create")
    with pytest.raises(Exception, match=r"[Cc]onnection"):
        await asyncio.to_thread(
            lambda: client.calls.create(to=CALLEE, from_=b.config.number, twiml="<Response/>")
        )
    (call,) = await asyncio.to_thread(lambda: client.calls.list(to=CALLEE))
    await b.ended(call.sid)
