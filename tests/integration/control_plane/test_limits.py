"""The rate limit over both APIs, what errors look like, and whose web pages may ask."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_status import rpc_status
from redis.asyncio import Redis

from control_plane.adapters import redis_client
from control_plane.adapters.rate_limit import RedisRateLimiter
from control_plane.settings import Settings
from protos.voiceplane.calls.v1 import calls_pb2 as pb
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceStub
from tests.support.control import Control, control_settings, free_port, new_workflow_id, running_control
from tests.support.stack import Servers

PAGE = "https://console.example.com"


@pytest.fixture
async def strict(servers: Servers, redis: Redis) -> AsyncIterator[Control]:
    await redis.delete("rate:local")
    settings = control_settings(servers, api_rate_limit=3, cors_origins=PAGE)
    async with running_control(settings) as control:
        yield control
    await redis.delete("rate:local")


async def test_who_asks_too_often_is_told_when_to_come_back_over_both_apis(strict: Control) -> None:
    path = f"/calls/{new_workflow_id()}"
    answers = [await strict.http.get(path) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [404, 404, 404, 429]
    assert [answer.headers["RateLimit-Policy"] for answer in answers] == ['"default";q=3;w=60'] * 4
    assert [answer.headers["RateLimit"].split(";")[1] for answer in answers] == ["r=2", "r=1", "r=0", "r=0"]
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 20
    assert answers[3].json()["code"] == "TOO_MANY_REQUESTS"
    async with grpc.aio.insecure_channel(strict.endpoints.grpc) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await CallServiceStub(channel).GetCall(pb.GetCallRequest(workflow_id="x"))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    status = rpc_status.from_call(caught.value)
    assert status is not None
    retry, info = RetryInfo(), ErrorInfo()
    assert status.details[0].Unpack(retry)
    assert status.details[1].Unpack(info)
    assert 1 <= retry.retry_delay.seconds <= 20
    assert (info.reason, info.domain) == ("TOO_MANY_REQUESTS", "voiceplane")
    assert (await strict.http.get("/health/live")).status_code == 200  # asks for no credential


async def test_an_allowance_refills_evenly(settings: Settings) -> None:
    redis = redis_client.connect(settings.redis_dsn)
    limiter = RedisRateLimiter(redis, limit=2, window_s=1)
    name = new_workflow_id()

    taken = [await limiter.take(name) for _ in range(3)]

    assert [each.allowed for each in taken] == [True, True, False]
    assert [each.left for each in taken] == [1, 0, 0]
    assert 0 < await redis.pttl(f"rate:{name}") <= 1000
    await redis.aclose()


async def test_nobody_is_refused_because_the_limit_cannot_be_asked(servers: Servers) -> None:
    settings = control_settings(servers, redis_url=f"redis://127.0.0.1:{free_port()}/0", api_rate_limit=1)
    async with running_control(settings) as control:
        for _ in range(3):
            assert (await control.http.get("/agents")).status_code == 200


async def test_only_the_pages_named_may_ask(control: Control, strict: Control) -> None:
    async def asked(of: Control, origin: str) -> str:
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        return (await of.http.options("/calls", headers=headers)).headers.get(
            "access-control-allow-origin", ""
        )

    assert await asked(strict, PAGE) == PAGE
    assert await asked(strict, "https://elsewhere.example.com") == ""
    assert await asked(control, PAGE) == ""


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/calls/call-1", 404, "CALL_NOT_FOUND"),
        ("GET", "/nothing/here", 404, "NOT_FOUND"),
        ("DELETE", "/calls/call-1", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/calls", 422, "INVALID_FIELD"),
        ("POST", "/twilio/twiml/call-1", 403, "FORBIDDEN"),
    ],
)
async def test_every_error_is_problem_details(
    control: Control, method: str, path: str, status: int, code: str
) -> None:
    response = await control.http.request(method, path)

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert {"type", "title", "status", "detail", "code"} <= problem.keys()
    assert (problem["type"], problem["status"], problem["code"]) == ("about:blank", status, code)


async def test_a_deadline_that_has_passed_ends_what_is_done_for_it(control: Control) -> None:
    async with grpc.aio.insecure_channel(control.endpoints.grpc) as channel:
        watch = CallServiceStub(channel).ListCalls(pb.ListCallsRequest(), timeout=0.000001)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await watch
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
