from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import grpc
import pytest
from redis.asyncio import Redis
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.worker import Worker

from control_plane.adapters import redis_client
from control_plane.adapters.idempotency import KEPT_S, RedisIdempotencyKeys
from control_plane.domain.calls import NewCall
from control_plane.errors import IdempotencyConflict
from control_plane.service import handlers
from control_plane.service.once import Once, digest
from control_plane.settings import Settings
from protos.voiceplane.calls.v1 import calls_pb2 as pb
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceStub
from tests.support.control import NEW_CALL, Control, control_settings, new_workflow_id, running_control
from tests.support.relay import Relay
from tests.support.stack import Servers
from workflows.contracts import CallParams


def new_key() -> str:
    return str(uuid.uuid4())


@pytest.fixture
async def once(settings: Settings) -> AsyncIterator[Once]:
    redis = redis_client.connect(settings.redis_dsn)
    yield Once(RedisIdempotencyKeys(redis), "tests", new_key())
    await redis.aclose()


async def test_the_same_request_with_the_same_key_is_one_call(
    control: Control, temporal: Client, worker: Worker, redis: Redis
) -> None:
    headers = {"Idempotency-Key": new_key()}
    before = set(await redis.keys("session:*"))

    answers = await asyncio.gather(
        *(control.http.post("/calls", json=NEW_CALL, headers=headers) for _ in range(8))
    )
    again = await control.http.post("/calls", json=NEW_CALL, headers=headers)

    assert {answer.status_code for answer in (*answers, again)} == {201}
    assert len({answer.text for answer in (*answers, again)}) == 1
    assert len(set(await redis.keys("session:*")) - before) == 1
    await control.http.post(f"/calls/{again.json()['workflow_id']}/terminate")


async def test_over_grpc_the_key_finds_the_call_that_was_made_over_http(
    control: Control, temporal: Client, worker: Worker
) -> None:
    key = new_key()
    created = (await control.http.post("/calls", json=NEW_CALL, headers={"Idempotency-Key": key})).json()

    async with grpc.aio.insecure_channel(control.endpoints.grpc) as channel:
        request = pb.CreateCallRequest(**NEW_CALL, idempotency_key=key)  # type: ignore[arg-type]
        answer = await CallServiceStub(channel).CreateCall(request)

    assert answer.workflow_id == created["workflow_id"]
    await control.http.post(f"/calls/{answer.workflow_id}/terminate")


async def test_another_request_with_a_key_that_was_used_is_a_conflict(
    control: Control, temporal: Client, worker: Worker
) -> None:
    key = new_key()
    created = await control.http.post("/calls", json=NEW_CALL, headers={"Idempotency-Key": key})

    other = await control.http.post(
        "/calls", json=NEW_CALL | {"greeting": "Hi."}, headers={"Idempotency-Key": key}
    )
    async with grpc.aio.insecure_channel(control.endpoints.grpc) as channel:
        request = pb.CreateCallRequest(**NEW_CALL | {"greeting": "Hi."}, idempotency_key=key)  # type: ignore[arg-type]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await CallServiceStub(channel).CreateCall(request)

    assert (other.status_code, other.json()["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")
    assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
    await control.http.post(f"/calls/{created.json()['workflow_id']}/terminate")


async def test_requests_without_a_key_are_calls_of_their_own(
    control: Control, temporal: Client, worker: Worker
) -> None:
    answers = [(await control.http.post("/calls", json=NEW_CALL)).json() for _ in range(2)]

    assert answers[0]["workflow_id"] != answers[1]["workflow_id"]
    for answer in answers:
        await control.http.post(f"/calls/{answer['workflow_id']}/terminate")


@pytest.mark.parametrize("key", ["a b", "x" * 256, "é"])
async def test_a_key_that_is_no_key_is_refused(control: Control, key: str) -> None:
    response = await control.http.post("/calls", json=NEW_CALL, headers={"Idempotency-Key": key.encode()})

    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["header", "Idempotency-Key"]


async def test_a_key_is_kept_for_a_day_and_stands_for_what_was_asked_first(once: Once, redis: Redis) -> None:
    call = NewCall("+15551234567", "x")
    first, second = new_workflow_id(), new_workflow_id()

    assert (await once.reserve(digest(call), first)).workflow_id == first
    held = await once.reserve(digest(call), second)

    assert (held.workflow_id, held.run_id) == (first, "")
    with pytest.raises(IdempotencyConflict):
        await once.reserve(digest(NewCall("+15551234567", "y")), second)
    [key] = [key for key in await redis.keys("idem:*") if first in await redis.get(key)]
    assert KEPT_S - 60 < await redis.ttl(key) <= KEPT_S == 86_400


async def test_a_call_somebody_was_told_of_is_not_given_up_and_one_given_up_has_not_started(
    once: Once,
) -> None:
    request = digest(NewCall("+15551234567", "x"))
    first, second = new_workflow_id(), new_workflow_id()
    await once.reserve(request, first)

    assert await once.give_up(first)
    assert not await once.started(first, "run-1")
    assert (await once.reserve(request, second)).workflow_id == second
    assert await once.started(second, "run-2")
    assert not await once.give_up(second)
    assert (await once.reserve(request, first)).run_id == "run-2"


@pytest.fixture
async def lossy(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Control, Relay]]:
    """A control plane whose way to Temporal can be an outage."""
    monkeypatch.setattr(handlers, "TAKEN_OVER_S", 1.0)
    async with Relay(servers.temporal_host) as relay:
        settings = control_settings(servers, temporal_host=f"127.0.0.1:{relay.port}")
        async with running_control(settings) as control:
            yield control, relay


async def test_a_request_sent_again_after_an_outage_makes_the_call_it_began(
    lossy: tuple[Control, Relay], temporal: Client, worker: Worker
) -> None:
    control, relay = lossy
    headers = {"Idempotency-Key": new_key()}
    relay.refuse()
    refused = await control.http.post("/calls", json=NEW_CALL, headers=headers)
    relay.accept()

    created = await control.http.post("/calls", json=NEW_CALL, headers=headers)

    assert (refused.status_code, created.status_code) == (503, 201)
    await temporal.get_workflow_handle(created.json()["workflow_id"]).signal("terminate", {"reason": ""})


async def test_a_start_whose_answer_was_lost_is_found_by_its_key_and_not_undone(
    lossy: tuple[Control, Relay], temporal: Client, worker: Worker, redis: Redis
) -> None:
    control, relay = lossy
    headers = {"Idempotency-Key": new_key()}
    await control.http.post("/calls", json=NEW_CALL)  # a connection that is open
    before = set(await redis.keys("session:*"))
    relay.swallow_answers()
    refused = await control.http.post("/calls", json=NEW_CALL, headers=headers)
    [begun] = set(await redis.keys("session:*")) - before
    relay.refuse()
    relay.accept()

    created = await control.http.post("/calls", json=NEW_CALL, headers=headers)

    assert (refused.status_code, created.status_code) == (503, 201)
    workflow_id = created.json()["workflow_id"]
    assert begun == f"session:{workflow_id}"
    await asyncio.sleep(1.5 * handlers.TAKEN_OVER_S)  # the undoing has had its chance
    handle = temporal.get_workflow_handle(workflow_id)
    assert await handle.query("params", result_type=CallParams)
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    await handle.signal("terminate", {"reason": ""})


async def test_a_start_whose_answer_was_lost_and_that_nobody_asks_for_again_is_undone(
    lossy: tuple[Control, Relay], temporal: Client, worker: Worker, redis: Redis
) -> None:
    control, relay = lossy
    await control.http.post("/calls", json=NEW_CALL)
    before = set(await redis.keys("session:*"))
    relay.swallow_answers()
    await control.http.post("/calls", json=NEW_CALL, headers={"Idempotency-Key": new_key()})
    [begun] = set(await redis.keys("session:*")) - before
    relay.refuse()
    relay.accept()

    handle = temporal.get_workflow_handle(begun.removeprefix("session:"))

    assert await handle.result() == ["its start was answered with 503"]
