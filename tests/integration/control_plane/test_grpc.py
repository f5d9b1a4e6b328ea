from __future__ import annotations

import time
from collections.abc import AsyncIterator

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from redis.asyncio import Redis
from temporalio.client import Client
from temporalio.worker import Worker

from control_plane.adapters.postgres import PostgresCalls
from control_plane.adapters.sessions import RedisSessions
from control_plane.service.ports import Batch
from protos.voiceplane.calls.v1 import calls_pb2 as pb
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceStub
from protos.voiceplane.events.v1 import events_pb2 as events
from tests.support.control import (
    NEW_CALL,
    Control,
    control_settings,
    free_port,
    new_workflow_id,
    running_control,
)
from tests.support.eventually import eventually
from tests.support.records import finished, segment, session, turn
from tests.support.stack import Servers
from workflows.contracts import CallParams, CallStatus, EndReason

REQUEST = pb.CreateCallRequest(**NEW_CALL)  # type: ignore[arg-type]


@pytest.fixture
async def channel(control: Control) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(control.endpoints.grpc) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> CallServiceStub:
    return CallServiceStub(channel)


async def refusal(call: grpc.aio.UnaryUnaryCall) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def violations(error: grpc.aio.AioRpcError) -> dict[str, str]:
    status = rpc_status.from_call(error)
    assert status is not None
    detail = BadRequest()
    assert status.details[0].Unpack(detail)
    return {each.field: each.description for each in detail.field_violations}


async def test_create_get_terminate(
    stub: CallServiceStub, temporal: Client, worker: Worker, repository: PostgresCalls
) -> None:
    created = await stub.CreateCall(REQUEST)
    assert created.workflow_id.startswith("call-")
    assert created.phone_number == "+15551234567"
    assert created.status == pb.CALL_STATUS_INITIATED
    handle = temporal.get_workflow_handle(created.workflow_id)
    params = await handle.query("params", result_type=CallParams)
    assert params.greeting == NEW_CALL["greeting"]

    call = await stub.GetCall(pb.GetCallRequest(workflow_id=created.workflow_id))
    assert (call.status, call.transcript_count) == (pb.CALL_STATUS_INITIATED, 0)
    assert (call.phone_number, call.greeting) == ("+15551234567", NEW_CALL["greeting"])

    request = pb.TerminateCallRequest(workflow_id=created.workflow_id, reason="no longer wanted")
    assert (await stub.TerminateCall(request)).status == pb.CALL_STATUS_INITIATED
    assert await handle.result() == ["no longer wanted"]


async def test_duration_0_means_the_default(stub: CallServiceStub, temporal: Client, worker: Worker) -> None:
    created = await stub.CreateCall(pb.CreateCallRequest(phone_number="+15551234567", system_prompt="x"))

    handle = temporal.get_workflow_handle(created.workflow_id)
    params = await handle.query("params", result_type=CallParams)
    assert params.max_duration_seconds == 1800
    await stub.TerminateCall(pb.TerminateCallRequest(workflow_id=created.workflow_id))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"phone_number": "5551234567"}, "phone_number"),
        ({"phone_number": ""}, "phone_number"),
        ({"system_prompt": " "}, "system_prompt"),
        ({"system_prompt": "x" * 100_000}, "system_prompt"),
        ({"greeting": "é" * 2049}, "greeting"),
        ({"max_duration_seconds": 36_000}, "max_duration_seconds"),
    ],
)
async def test_a_bad_field_is_named_in_the_details_and_starts_nothing(
    stub: CallServiceStub, redis: Redis, changes: dict[str, str | int], field: str
) -> None:
    before = set(await redis.keys("session:*"))

    error = await refusal(stub.CreateCall(pb.CreateCallRequest(**NEW_CALL | changes)))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert list(violations(error)) == [field]
    assert set(await redis.keys("session:*")) == before


async def test_every_bad_field_is_named_at_once(stub: CallServiceStub) -> None:
    error = await refusal(stub.CreateCall(pb.CreateCallRequest(max_duration_seconds=99_999)))

    assert set(violations(error)) == {"phone_number", "system_prompt", "max_duration_seconds"}


async def test_an_overlong_reason_is_refused(stub: CallServiceStub) -> None:
    request = pb.TerminateCallRequest(workflow_id=new_workflow_id(), reason="x" * 501)

    assert list(violations(await refusal(stub.TerminateCall(request)))) == ["reason"]


async def test_a_message_over_256_kib_is_refused(stub: CallServiceStub) -> None:
    error = await refusal(stub.CreateCall(pb.CreateCallRequest(system_prompt="x" * 300_000)))

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("workflow_id", [new_workflow_id(), "", "call-1"])
async def test_an_unknown_call_is_not_found(stub: CallServiceStub, workflow_id: str) -> None:
    for call in (
        stub.GetCall(pb.GetCallRequest(workflow_id=workflow_id)),
        stub.TerminateCall(pb.TerminateCallRequest(workflow_id=workflow_id)),
        stub.GetCallResult(pb.GetCallResultRequest(workflow_id=workflow_id)),
    ):
        assert (await refusal(call)).code() is grpc.StatusCode.NOT_FOUND


async def test_the_result_of_a_live_call_is_a_failed_precondition(
    stub: CallServiceStub, sessions: RedisSessions
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="ringing"))

    error = await refusal(stub.GetCallResult(pb.GetCallResultRequest(workflow_id=workflow_id)))

    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "ringing" in (error.details() or "")


async def test_the_result_tells_who_said_what_and_how_fast(
    stub: CallServiceStub, repository: PostgresCalls
) -> None:
    workflow_id = new_workflow_id()
    await repository.write(
        workflow_id,
        Batch(
            [segment(1, unheard_text="And bye."), segment(2, speaker="caller", start_ms=950)],
            [turn(1)],
            {"setup_ms": 85},
        ),
    )
    await repository.finish(finished(workflow_id, CallStatus.FAILED, EndReason.MODEL_FAILED))

    result = await stub.GetCallResult(pb.GetCallResultRequest(workflow_id=workflow_id))

    assert (result.status, result.end_reason) == (pb.CALL_STATUS_FAILED, "model_failed")
    assert result.duration_seconds == 60.0
    speakers = [line.speaker for line in result.transcript]
    assert [line.unheard_text for line in result.transcript] == ["And bye.", ""]
    assert speakers == [events.SPEAKER_AGENT, events.SPEAKER_CALLER]
    assert result.turns[0].response_ms == 800
    assert result.media.setup_ms == 85


def test_every_status_has_its_name_in_the_protocol() -> None:
    for status in CallStatus:
        assert pb.CallStatus.Value(f"CALL_STATUS_{status.name}") > 0


# -- WatchCall -----------------------------------------------------------------------------------------------


async def add(redis: Redis, workflow_id: str, seq: int, **body: object) -> str:
    event = events.CallEvent(workflow_id=workflow_id, source="node-1", seq=seq, **body)  # type: ignore[arg-type]
    entry: str = await redis.xadd(f"events:{workflow_id}", {"e": event.SerializeToString()})
    return entry


def said(text: str) -> dict[str, object]:
    return {"transcript_delta": events.TranscriptDelta(segment_id=1, text=text)}


async def test_watching_tells_what_happened_and_what_happens_until_the_call_is_over(
    stub: CallServiceStub, redis: Redis, sessions: RedisSessions
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="in_progress"))
    await add(redis, workflow_id, 1, stream_started=events.StreamStarted(stream_sid="MZ1"))
    watch = stub.WatchCall(pb.WatchCallRequest(workflow_id=workflow_id))

    assert (await watch.read()).status == pb.CALL_STATUS_INITIATED
    assert (await watch.read()).event.stream_started.stream_sid == "MZ1"
    await add(redis, workflow_id, 2, **said("Hello"))
    assert (await watch.read()).event.transcript_delta.text == "Hello"
    await add(redis, workflow_id, 3, stream_ended=events.StreamEnded(detail="bye"))
    assert (await watch.read()).event.stream_ended.detail == "bye"
    await sessions.update(workflow_id, status="completed")
    assert (await watch.read()).ended.status == pb.CALL_STATUS_COMPLETED
    assert await watch.read() is grpc.aio.EOF


async def test_watching_resumes_after_the_last_entry_seen(
    stub: CallServiceStub, redis: Redis, sessions: RedisSessions
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="completed"))
    entries = [await add(redis, workflow_id, n, **said(f"{n}")) for n in (1, 2, 3)]

    everything = [each async for each in stub.WatchCall(pb.WatchCallRequest(workflow_id=workflow_id))]
    rest = [
        each
        async for each in stub.WatchCall(
            pb.WatchCallRequest(workflow_id=workflow_id, after_entry=everything[1].entry)
        )
    ]

    assert [each.entry for each in everything] == ["", *entries, ""]
    assert [each.event.transcript_delta.text for each in rest] == ["2", "3", ""]
    assert [each.sequence for each in rest] == [each.sequence for each in everything[2:]]


async def test_watching_an_unknown_call_is_not_found(stub: CallServiceStub) -> None:
    watch = stub.WatchCall(pb.WatchCallRequest(workflow_id=new_workflow_id()))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watch.read()
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("after", ["1", "$", "1-", "now", "1-1 "])
async def test_watching_after_no_entry_is_refused(stub: CallServiceStub, after: str) -> None:
    watch = stub.WatchCall(pb.WatchCallRequest(workflow_id=new_workflow_id(), after_entry=after))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watch.read()
    assert list(violations(caught.value)) == ["after_entry"]


async def test_a_watcher_that_leaves_is_let_go(
    control: Control, stub: CallServiceStub, redis: Redis, sessions: RedisSessions
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="in_progress"))
    await add(redis, workflow_id, 1, **said("Hello"))
    watch = stub.WatchCall(pb.WatchCallRequest(workflow_id=workflow_id))
    await watch.read()

    watch.cancel()

    async def gone() -> bool:
        return "voiceplane_control_watchers 0.0" in (await control.http.get("/metrics")).text

    await eventually(gone)


# -- the server ----------------------------------------------------------------------------------------------


async def test_unavailable_names_the_server_and_when_to_come_back(servers: Servers) -> None:
    settings = control_settings(servers, redis_url=f"redis://127.0.0.1:{free_port()}/0")
    async with (
        running_control(settings) as control,
        grpc.aio.insecure_channel(control.endpoints.grpc) as channel,
    ):
        started = time.monotonic()
        error = await refusal(CallServiceStub(channel).CreateCall(REQUEST))

    assert time.monotonic() - started < 3
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert error.details() == "redis is unavailable"
    status = rpc_status.from_call(error)
    assert status is not None
    retry = RetryInfo()
    assert status.details[0].Unpack(retry)
    assert retry.retry_delay.seconds >= 1


async def test_health_and_reflection_are_served(channel: grpc.aio.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for name in ("", "voiceplane.calls.v1.CallService"):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING

    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = reflection.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    services = {each.name for each in (await asked.read()).list_services_response.service}
    assert "voiceplane.calls.v1.CallService" in services
