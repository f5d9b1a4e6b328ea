"""Webhooks of a call: what is told, in which order, signed; again when it is not taken; and in the log."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web
from redis.asyncio import Redis

from control_plane import bootstrap
from control_plane.adapters.postgres_webhooks import PostgresWebhooks
from control_plane.service.webhook_ports import Delivery
from control_plane.settings import Settings
from control_plane.tools import signing
from tests.support.eventually import eventually
from tests.support.stack import Servers
from tests.support.twilio_api import ACCOUNT_SID, AUTH_TOKEN, NUMBER
from tests.workflows.conftest import World, call_params
from workflows.contracts import CallParams, CallStatus, CallView
from workflows.worker import build

SECRET = "for webhooks"


@dataclass
class Receiver:
    """Takes webhooks; answers the next ones with `statuses`, then 204."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    requests: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    signed: list[bool] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        timestamp, signature = request.headers[signing.TIMESTAMP], request.headers[signing.SIGNATURE]
        self.signed.append(
            signing.verify(SECRET, timestamp, signature, "POST", request.path_qs, body, time.time())
        )
        self.requests.append((dict(request.headers), json.loads(body)))
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204)

    def told(self, event: str) -> list[dict[str, Any]]:
        return [body for _, body in self.requests if body["type"] == event]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}/hook?of=us"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def telling(quiet_world: World, servers: Servers, redis: Redis) -> AsyncIterator[World]:
    """The world with a worker that may reach this machine, and signs."""
    settings = Settings(
        _env_file=None,
        database_url=servers.database_url,
        redis_url=servers.redis_url,
        temporal_host=servers.temporal_host,
        twilio_account_sid=ACCOUNT_SID,
        twilio_auth_token=AUTH_TOKEN,
        twilio_phone_number=NUMBER,
        twilio_api_base_url=quiet_world.twilio.base_url,
        base_url="http://voiceplane.test",
        tool_allow_private="127.0.0.1",
        webhook_signing_secret=SECRET,
    )
    ports = bootstrap.worker(settings)
    async with build(quiet_world.client, ports):
        yield replace(quiet_world, ports=ports)
    await ports.close()


@pytest.fixture
async def log(servers: Servers) -> AsyncIterator[PostgresWebhooks]:
    log = PostgresWebhooks(servers.database_url)
    yield log
    await log.close()


def with_webhook(url: str) -> CallParams:
    return replace(call_params(), webhook_url=url, agent_name="reception")


async def test_a_call_tells_of_its_start_answer_end_and_transcript(
    telling: World, receiver: Receiver, log: PostgresWebhooks
) -> None:
    params = with_webhook(receiver.url)
    handle = await telling.start(params)
    call = await telling.dialed(params)
    await eventually(lambda: params.workflow_id in telling.node.prepared)
    await telling.callback(handle, call, "in-progress", 0)
    await telling.node.start_stream(params.workflow_id, call.sid)
    await telling.node.speak(params.workflow_id, 1, "Hello!", agent=True)

    async def live() -> bool:
        view = await handle.query("status", result_type=CallView)
        return view.status == CallStatus.IN_PROGRESS and bool(view.stream_sid)

    await eventually(live)
    await telling.node.end_stream(params.workflow_id)
    await telling.callback(handle, call, "completed", 1, duration_seconds=1)
    await handle.result()
    await eventually(lambda: len(receiver.requests) >= 4)

    events = ["call.started", "call.answered", "call.ended", "transcript.ready"]
    assert [len(receiver.told(event)) for event in events] == [1, 1, 1, 1]
    assert all(receiver.signed)
    started, answered, ended, transcript = (receiver.told(event)[0] for event in events)
    assert started["data"]["phone_number"] == params.phone_number
    assert started["data"]["agent"] == "reception"
    assert answered["data"]["call_sid"] == call.sid
    assert (ended["data"]["status"], ended["data"]["end_reason"]) == ("completed", "caller_hangup")
    assert [line["text"] for line in transcript["data"]["transcript"]] == ["Hello!"]
    assert started["created_at"] <= answered["created_at"] <= ended["created_at"]
    headers = next(headers for headers, body in receiver.requests if body == ended)
    assert headers["X-Voiceplane-Event"] == "call.ended"
    assert headers["X-Voiceplane-Delivery"] == ended["id"] == f"{params.workflow_id}.call.ended"

    async def logged() -> bool:
        found = await log.page(workflow_id=params.workflow_id, state="delivered", before=None, limit=10)
        return {each.event: each.attempts for each in found} == dict.fromkeys(events, 1)

    await eventually(logged)


async def started(log: PostgresWebhooks, params: CallParams) -> Delivery | None:
    return await log.get(f"{params.workflow_id}.call.started")


async def test_a_webhook_that_is_not_taken_is_sent_again_until_it_is(
    telling: World, receiver: Receiver, log: PostgresWebhooks
) -> None:
    receiver.statuses = [500]
    params = with_webhook(receiver.url)
    handle = await telling.start(params)
    await eventually(lambda: len(receiver.told("call.started")) == 2)

    async def delivered() -> bool:
        found = await started(log, params)
        return found is not None and found.state == "delivered"

    await eventually(delivered)
    found = await started(log, params)
    assert found is not None
    assert (found.attempts, found.last_status, found.last_error) == (2, 204, "")
    first, second = receiver.told("call.started")
    assert first == second
    await handle.signal("terminate", {"reason": ""})
    await handle.result()


@pytest.mark.parametrize("kind", ["gone", "private"])
async def test_a_webhook_that_nobody_will_ever_take_is_given_up_and_says_why(
    telling: World, receiver: Receiver, log: PostgresWebhooks, kind: str
) -> None:
    receiver.statuses = [410]
    params = with_webhook(receiver.url if kind == "gone" else "https://10.0.0.1/hook")
    handle = await telling.start(params)

    async def given_up() -> bool:
        found = await started(log, params)
        return found is not None and found.state == "failed"

    await eventually(given_up)
    found = await started(log, params)
    assert found is not None
    assert found.attempts == 1
    assert ("410" if kind == "gone" else "private") in found.last_error
    await handle.signal("terminate", {"reason": ""})
    await handle.result()


async def test_a_call_does_not_wait_for_its_webhooks(telling: World) -> None:
    params = with_webhook("http://127.0.0.1:1/nobody")
    handle = await telling.start(params)
    await telling.dialed(params)
    await handle.signal("terminate", {"reason": ""})
    assert (await handle.result()).status == CallStatus.CANCELED
