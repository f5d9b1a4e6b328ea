"""What the API answers when the dialing policy objects, over HTTP and gRPC."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import grpc
import psycopg
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_status import rpc_status
from redis.asyncio import Redis
from temporalio.client import Client
from temporalio.worker import Worker

from control_plane.adapters.pacing import RedisPacer
from protos.voiceplane.calls.v1 import calls_pb2 as pb
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceStub
from tests.support.control import NEW_CALL, Control, control_settings, running_control
from tests.support.eventually import eventually
from tests.support.stack import Servers


def strict(servers: Servers, **changes: object) -> Any:
    """Settings of an American account, with caps that no other test shares."""
    return control_settings(
        servers,
        **{
            "twilio_account_sid": f"AC{uuid.uuid4().hex}",
            "twilio_phone_number": "+15005550006",
            **changes,
        },
    )


@pytest.fixture
async def american(servers: Servers, temporal: Client, worker: Worker) -> AsyncIterator[Control]:
    async with running_control(strict(servers)) as control:
        yield control
        await control.http.delete("/dialing/stop")


async def ask(control: Control, number: str = "+15551234567", **changes: object) -> Any:
    return await control.http.post("/calls", json=NEW_CALL | {"phone_number": number} | changes)


async def end(control: Control, response: Any) -> None:
    await control.http.post(f"/calls/{response.json()['workflow_id']}/terminate")


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        ("+442079460000", "COUNTRY_NOT_ALLOWED"),
        ("+18762345678", "COUNTRY_NOT_ALLOWED"),
        ("+19002345678", "PREMIUM_NUMBER"),
        ("+881612345678", "HIGH_COST_NUMBER"),
        ("+49112", "EMERGENCY_NUMBER"),
        ("+15551234", "INVALID_NUMBER"),
    ],
)
async def test_a_number_that_is_not_called_is_refused_with_403_and_the_rule(
    american: Control, redis: Redis, number: str, rule: str
) -> None:
    before = set(await redis.keys("session:*"))
    response = await ask(american, number)
    assert (response.status_code, response.json()["code"]) == (403, rule)
    assert number in response.json()["detail"]
    assert "retry-after" not in response.headers
    assert set(await redis.keys("session:*")) == before


async def test_a_refusal_is_counted_and_audited(american: Control, servers: Servers) -> None:
    number = f"+44207946{uuid.uuid4().int % 10_000:04d}"
    await ask(american, number)
    metrics = (await american.http.get("/metrics")).text
    assert 'voiceplane_dialing_refused_total{rule="country_not_allowed"}' in metrics

    async def audited() -> Any:
        entries = (await american.http.get("/dialing/audit")).json()
        return [each for each in entries if each["number"] == number]

    (entry,) = await eventually(audited)
    assert (entry["action"], entry["rule"]) == ("refused", "country_not_allowed")
    assert entry["workflow_id"].startswith("call-")
    assert entry["by"]


async def test_of_200_requests_for_the_last_place_one_wins_and_199_hear_the_rule(
    servers: Servers, temporal: Client, worker: Worker
) -> None:
    settings = strict(servers, dialing_caps_account="concurrent=3", twilio_cps=1000)
    async with running_control(settings) as control:
        taken = [await ask(control), await ask(control)]
        responses = await asyncio.gather(*(ask(control) for _ in range(200)))
        won = [each for each in responses if each.status_code == 201]
        lost = [each for each in responses if each.status_code == 429]
        assert (len(won), len(lost)) == (1, 199)
        assert {each.json()["code"] for each in lost} == {"ACCOUNT_CONCURRENT"}
        assert all(int(each.headers["retry-after"]) >= 1 for each in lost)
        usage = (await control.http.get("/dialing")).json()["usage"]
        assert (usage["concurrent"], usage["today"]) == (3, 3)
        for each in [*taken, *won]:
            await end(control, each)


async def test_caps_of_a_number_do_not_touch_others(
    servers: Servers, temporal: Client, worker: Worker
) -> None:
    settings = strict(servers, dialing_caps_number="per_day=1")
    async with running_control(settings) as control:
        one, other = (f"+1415555{uuid.uuid4().int % 10_000:04d}" for _ in range(2))
        first = await ask(control, one)
        again = await ask(control, one)
        second = await ask(control, other)
        assert [each.status_code for each in (first, again, second)] == [201, 429, 201]
        assert again.json()["code"] == "NUMBER_PER_DAY"
        await end(control, first)
        await end(control, second)


async def test_a_call_longer_than_any_day_allows_will_not_be_allowed_later(servers: Servers) -> None:
    async with running_control(strict(servers, dialing_caps_key="minutes_per_day=2")) as control:
        response = await ask(control, max_duration_seconds=300)
    assert (response.status_code, response.json()["code"]) == (403, "KEY_MINUTES_PER_DAY")


async def test_a_start_that_fails_gives_its_place_back(servers: Servers) -> None:
    settings = strict(servers, temporal_host="127.0.0.1:1", dialing_caps_account="concurrent=1 per_day=1")
    async with running_control(settings) as control:
        codes = [(await ask(control)).status_code for _ in range(3)]
        assert codes == [503, 503, 503]
        assert (await control.http.get("/dialing")).json()["usage"]["today"] == 0


async def test_in_the_callees_night_the_refusal_says_when_it_is_over(servers: Servers) -> None:
    now = datetime.now(ZoneInfo("America/Los_Angeles"))
    window = f"{now - timedelta(minutes=5):%H:%M}-{now + timedelta(minutes=30):%H:%M}"
    async with running_control(strict(servers, dialing_quiet_hours=window)) as control:
        response = await ask(control, "+14155550100")
    assert (response.status_code, response.json()["code"]) == (429, "QUIET_HOURS")
    assert 28 * 60 <= int(response.headers["retry-after"]) <= 30 * 60


async def test_a_line_of_calls_that_is_too_long_is_not_joined(servers: Servers) -> None:
    settings = strict(servers)
    async with (
        Redis.from_url(settings.redis_dsn) as redis,
        running_control(settings) as control,
    ):
        pacer = RedisPacer(redis, settings.twilio_account_sid, settings.twilio_cps)
        await pacer.hold(int(time.time() * 1000), 160_000)
        response = await ask(control)
    assert (response.status_code, response.json()["code"]) == (429, "QUEUE_FULL")
    assert 50 <= int(response.headers["retry-after"]) <= 60


async def test_the_kill_switch_refuses_every_call_at_once_until_it_is_lifted(american: Control) -> None:
    stopped = await american.http.put("/dialing/stop", json={"reason": "a key was stolen"})
    assert (stopped.status_code, stopped.json()["reason"]) == (200, "a key was stolen")
    assert (await american.http.get("/dialing")).json()["stop"]["stopped"] is True
    response = await ask(american)
    assert (response.status_code, response.json()["code"]) == (403, "KILL_SWITCH")
    assert response.json()["detail"] == "all dialing is stopped: a key was stolen"
    assert (await american.http.delete("/dialing/stop")).status_code == 204
    await end(american, await ask(american))


async def test_the_do_not_call_list_is_kept_over_http(american: Control) -> None:
    number = f"+1415555{uuid.uuid4().int % 10_000:04d}"
    path = f"/dialing/do-not-call/{number}"
    for _ in range(2):
        assert (await american.http.put(path, json={"reason": "asked"})).status_code == 204
    response = await ask(american, number)
    assert (response.status_code, response.json()["code"]) == (403, "DO_NOT_CALL")

    page = (await american.http.get("/dialing/do-not-call", params={"after": number[:-1], "limit": 1})).json()
    assert [each["number"] for each in page["numbers"]] == [number]
    assert page["next"] == number

    for _ in range(2):
        assert (await american.http.delete(path)).status_code == 204
    await end(american, await ask(american, number))
    entries = (await american.http.get("/dialing/audit", params={"limit": 1000})).json()
    actions = [each["action"] for each in entries if each["number"] == number and each["action"] != "refused"]
    assert actions == ["unlist", "list"]


@pytest.mark.parametrize("number", ["911", "15551234567", "+1555", "nonsense", "%00", "+9995551234567"])
async def test_what_is_no_number_is_not_listed(american: Control, number: str) -> None:
    assert (await american.http.put(f"/dialing/do-not-call/{number}", json={})).status_code == 422


async def test_the_audit_can_only_grow(servers: Servers, american: Control) -> None:
    await american.http.put("/dialing/stop", json={})
    async with await psycopg.AsyncConnection.connect(servers.database_url, autocommit=True) as connection:
        for statement in (
            "DELETE FROM dialing_audit",
            "UPDATE dialing_audit SET by = 'nobody'",
            "TRUNCATE dialing_audit",
        ):
            with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
                await connection.execute(statement)


async def refusal(control: Control, number: str) -> grpc.aio.AioRpcError:
    async with grpc.aio.insecure_channel(control.endpoints.grpc) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await CallServiceStub(channel).CreateCall(
                pb.CreateCallRequest(phone_number=number, system_prompt="You sell tea.")
            )
    return error.value


async def test_grpc_says_permission_denied_with_the_rule(american: Control) -> None:
    error = await refusal(american, "+442079460000")
    assert error.code() is grpc.StatusCode.PERMISSION_DENIED
    (info,) = unpacked(error, ErrorInfo)
    assert (info.reason, info.domain) == ("COUNTRY_NOT_ALLOWED", "voiceplane")


async def test_grpc_says_resource_exhausted_with_the_rule_and_when_to_ask_again(
    servers: Servers, temporal: Client, worker: Worker
) -> None:
    async with running_control(strict(servers, dialing_caps_account="concurrent=1")) as control:
        first = await ask(control)
        error = await refusal(control, "+15551234567")
        await end(control, first)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert [info.reason for info in unpacked(error, ErrorInfo)] == ["ACCOUNT_CONCURRENT"]
    assert [retry.retry_delay.seconds for retry in unpacked(error, RetryInfo)] == [10]


def unpacked(error: grpc.aio.AioRpcError, kind: type[Any]) -> list[Any]:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None
    found = []
    for detail in status.details:
        message = kind()
        if detail.Unpack(message):
            found.append(message)
    return found
