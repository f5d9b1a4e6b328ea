"""Watching a call: numbered items over gRPC and as server-sent events."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
from redis.asyncio import Redis

from control_plane.adapters.postgres import PostgresCalls
from control_plane.adapters.sessions import RedisSessions
from control_plane.domain.events import FIRST, LAST, sequence_of, status_event
from control_plane.service.ports import Batch
from protos.voiceplane.calls.v1 import calls_pb2 as pb
from protos.voiceplane.calls.v1.calls_pb2_grpc import CallServiceStub
from protos.voiceplane.events.v1 import events_pb2 as events
from tests.support.control import Control, control_settings, new_workflow_id, running_control
from tests.support.records import finished, segment, session, turn
from tests.support.stack import Servers
from workflows.contracts import CallStatus, EndReason


@pytest.fixture
async def stub(control: Control) -> AsyncIterator[CallServiceStub]:
    async with grpc.aio.insecure_channel(control.endpoints.grpc) as channel:
        yield CallServiceStub(channel)


async def add(redis: Redis, workflow_id: str, number: int, *, entry: str = "*") -> str:
    event = events.CallEvent(
        workflow_id=workflow_id,
        source="node-1",
        seq=number,
        transcript_delta=events.TranscriptDelta(
            segment_id=1, speaker=events.SPEAKER_AGENT, text=f"word {number}"
        ),
    )
    added: str = await redis.xadd(f"events:{workflow_id}", {"e": event.SerializeToString()}, id=entry)
    return added


async def end(sessions: RedisSessions, workflow_id: str) -> None:
    news = status_event(
        workflow_id, CallStatus.COMPLETED, 0, end_reason="caller_hangup", duration_seconds=12.5
    )
    await sessions.update(workflow_id, news=news, status="completed")


async def watched(stub: CallServiceStub, workflow_id: str, after: int = 0) -> list[pb.WatchCallResponse]:
    request = pb.WatchCallRequest(workflow_id=workflow_id, after_sequence=after)
    return [item async for item in stub.WatchCall(request, timeout=15)]


async def refusal(stub: CallServiceStub, workflow_id: str, after: int) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watched(stub, workflow_id, after)
    return caught.value


async def test_items_tell_how_far_the_call_has_come_and_what_was_said_and_how_it_ended(
    stub: CallServiceStub, redis: Redis, sessions: RedisSessions
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id))
    for status in (CallStatus.RINGING, CallStatus.RINGING, CallStatus.IN_PROGRESS):
        await sessions.update(workflow_id, news=status_event(workflow_id, status, 1_000), status=status.value)
    await add(redis, workflow_id, 1)
    await end(sessions, workflow_id)
    await end(sessions, workflow_id)

    items = await watched(stub, workflow_id)

    assert [item.WhichOneof("item") for item in items] == ["status", "status", "status", "event", "ended"]
    assert [item.status for item in items[:3]] == [
        pb.CALL_STATUS_INITIATED,
        pb.CALL_STATUS_RINGING,
        pb.CALL_STATUS_IN_PROGRESS,
    ]
    assert items[3].event.transcript_delta.text == "word 1"
    assert items[3].sequence == sequence_of(items[3].entry)
    ended = items[4].ended
    assert (ended.status, ended.end_reason) == (pb.CALL_STATUS_COMPLETED, "caller_hangup")
    assert ended.duration_seconds == 12.5
    sequences = [item.sequence for item in items]
    assert sequences == sorted(set(sequences))
    assert (sequences[0], sequences[-1]) == (FIRST, LAST)


async def test_a_watch_that_is_cut_and_resumed_fifty_times_misses_nothing_and_repeats_nothing(
    servers: Servers, control: Control, redis: Redis, sessions: RedisSessions
) -> None:
    """Each time at another of two replicas, after as many items as chance will have it."""
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="in_progress"))
    count, cuts = 400, 50
    chance = random.Random(50)

    async def speak() -> None:
        for number in range(1, count + 1):
            await add(redis, workflow_id, number)
            if number % 5 == 0:
                await asyncio.sleep(0)
        await end(sessions, workflow_id)

    seen: list[pb.WatchCallResponse] = []
    async with (
        running_control(control_settings(servers)) as other,
        grpc.aio.insecure_channel(control.endpoints.grpc) as one_channel,
        grpc.aio.insecure_channel(other.endpoints.grpc) as other_channel,
    ):
        stubs = [CallServiceStub(one_channel), CallServiceStub(other_channel)]
        speaking = asyncio.create_task(speak())
        for cut in range(cuts):
            after = seen[-1].sequence if seen else 0
            request = pb.WatchCallRequest(workflow_id=workflow_id, after_sequence=after)
            watch = stubs[cut % 2].WatchCall(request, timeout=15)
            for _ in range(chance.randint(1, 7)):
                seen.append(await watch.read())
            watch.cancel()
        await speaking
        seen += await watched(stubs[0], workflow_id, seen[-1].sequence)

    assert [item.event.transcript_delta.text for item in seen[1:-1]] == [
        f"word {number}" for number in range(1, count + 1)
    ]
    assert seen[0].status == pb.CALL_STATUS_INITIATED
    assert seen[-1].HasField("ended")


async def test_after_the_last_item_nothing_comes(stub: CallServiceStub, sessions: RedisSessions) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id))
    await end(sessions, workflow_id)

    assert await watched(stub, workflow_id, LAST) == []


async def test_a_sequence_that_no_item_of_the_call_has_is_refused(
    stub: CallServiceStub, redis: Redis, sessions: RedisSessions
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="in_progress"))

    for after in (LAST, LAST + 1, 2**64 - 1):
        assert (await refusal(stub, workflow_id, after)).code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_resuming_where_the_stream_was_trimmed_is_refused(
    stub: CallServiceStub, redis: Redis, sessions: RedisSessions
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="completed"))
    entries = [await add(redis, workflow_id, number) for number in range(1, 6)]
    await redis.xtrim(f"events:{workflow_id}", maxlen=2, approximate=False)

    error = await refusal(stub, workflow_id, sequence_of(entries[1]))
    kept = await watched(stub, workflow_id, sequence_of(entries[3]))

    assert error.code() is grpc.StatusCode.OUT_OF_RANGE
    assert [item.event.transcript_delta.text for item in kept] == ["word 5", ""]


async def test_a_call_whose_stream_has_expired_is_told_from_the_database(
    stub: CallServiceStub, repository: PostgresCalls
) -> None:
    workflow_id = new_workflow_id()
    batch = Batch(
        [segment(1, end_ms=900), segment(2, speaker="caller", start_ms=950, end_ms=2500)], [turn(1)]
    )
    await repository.write(workflow_id, batch)
    await repository.finish(finished(workflow_id, CallStatus.FAILED, EndReason.MODEL_FAILED, error="broke"))

    items = await watched(stub, workflow_id)

    assert [item.sequence for item in items] == [1, 2, 3, 4, 5, LAST]
    assert [item.event.WhichOneof("body") for item in items[2:5]] == [
        "transcript_segment",
        "transcript_segment",
        "turn_completed",
    ]
    assert items[-1].ended.error == "broke"
    assert [item.sequence for item in await watched(stub, workflow_id, 4)] == [5, LAST]
    error = await refusal(stub, workflow_id, sequence_of("1795396952000-0"))
    assert error.code() is grpc.StatusCode.OUT_OF_RANGE


# -- server-sent events --------------------------------------------------------------------------------------


async def received(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    fields: dict[str, Any] = {}
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        if line and not line.startswith(":"):
            fields[name] = json.loads(value) if name == "data" else value
        elif fields.pop("retry", None) is None and fields:
            yield fields
            fields = {}


async def test_events_come_over_http_and_go_on_after_the_last_event_id(
    control: Control, redis: Redis, sessions: RedisSessions
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="in_progress"))
    await add(redis, workflow_id, 1)
    url = f"/calls/{workflow_id}/events"
    async with control.http.stream("GET", url) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        stream = received(response)
        first, second = await anext(stream), await anext(stream)
    assert (first["event"], first["data"]["status"]) == ("status", "initiated")
    assert second["event"] == "transcript_delta"
    assert second["data"]["data"] == {"segment_id": 1, "speaker": "agent", "text": "word 1"}
    assert second["id"] == str(second["data"]["sequence"])

    await add(redis, workflow_id, 2)
    await end(sessions, workflow_id)
    async with control.http.stream("GET", url, headers={"Last-Event-ID": second["id"]}) as response:
        rest = [event async for event in received(response)]

    assert [event["event"] for event in rest] == ["transcript_delta", "ended"]
    assert rest[0]["data"]["data"]["text"] == "word 2"
    assert rest[1]["data"]["end_reason"] == "caller_hangup"
    over = await control.http.get(url, headers={"Last-Event-ID": rest[1]["id"]})
    assert (over.status_code, over.content) == (204, b"")


@pytest.mark.parametrize("bad", ["x", "-1", "1.5", "٣", "9" * 17])
async def test_a_last_event_id_that_is_none_of_ours_is_refused(control: Control, bad: str) -> None:
    url = f"/calls/{new_workflow_id()}/events"

    response = await control.http.get(url, headers={"Last-Event-ID": bad.encode()})

    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["header", "Last-Event-ID"]


async def test_events_of_an_unknown_call_are_404(control: Control) -> None:
    response = await control.http.get(f"/calls/{new_workflow_id()}/events")

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


async def test_watchers_are_let_go_when_the_server_stops(servers: Servers, sessions: RedisSessions) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="in_progress"))
    async with running_control(control_settings(servers)) as control:
        channel = grpc.aio.insecure_channel(control.endpoints.grpc)
        watch = CallServiceStub(channel).WatchCall(pb.WatchCallRequest(workflow_id=workflow_id))
        await watch.read()
        response = await control.http.send(
            control.http.build_request("GET", f"/calls/{workflow_id}/events"), stream=True
        )
        stream = response.aiter_lines()
        await anext(stream)

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await watch.read()
    assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    await channel.close()
