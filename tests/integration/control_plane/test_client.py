"""The typed clients against a real server, and through a network that cuts connections."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import grpc
import pytest
from redis.asyncio import Redis
from temporalio.client import Client as Temporal
from temporalio.worker import Worker

from control_plane.adapters.postgres import PostgresCalls
from control_plane.adapters.sessions import RedisSessions
from control_plane.client import (
    ApiError,
    AsyncClient,
    CallStatus,
    Client,
    Delta,
    Ended,
    Event,
    NewCall,
    Segment,
    StatusReached,
    TurnDone,
)
from control_plane.domain.events import status_event
from control_plane.service.ports import Batch
from protos.voiceplane.events.v1 import events_pb2 as events
from tests.support.control import Control, new_workflow_id
from tests.support.records import finished, segment, session, turn
from tests.support.relay import Relay
from workflows.contracts import CallStatus as Status

CALL = NewCall(
    phone_number="+15551234567",
    system_prompt="You are kind.",
    greeting="Hello.",
    max_duration_seconds=300,
    tools=[{"type": "end_call"}],
    agent={"voice": "Kore", "temperature": 0.5},
)


@pytest.fixture
async def client(control: Control) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(control.endpoints.grpc) as client:
        yield client


async def add(redis: Redis, workflow_id: str, seq: int, **body: object) -> None:
    event = events.CallEvent(workflow_id=workflow_id, source="node-1", seq=seq, **body)  # type: ignore[arg-type]
    await redis.xadd(f"events:{workflow_id}", {"e": event.SerializeToString()})


async def test_a_call_is_made_read_listed_and_ended(
    client: AsyncClient, temporal: Temporal, worker: Worker
) -> None:
    created = await client.create(CALL)
    assert created.status is CallStatus.INITIATED

    call = await client.get(created.workflow_id)
    assert (call.workflow_id, call.phone_number, call.greeting) == (
        created.workflow_id,
        "+15551234567",
        "Hello.",
    )
    assert await client.terminate(created.workflow_id, "enough") is CallStatus.INITIATED
    assert await temporal.get_workflow_handle(created.workflow_id).result() == ["enough"]


async def test_the_same_key_makes_one_call(client: AsyncClient, worker: Worker) -> None:
    key = new_workflow_id()

    first, second = [await client.create(CALL, idempotency_key=key) for _ in range(2)]

    assert first == second
    await client.terminate(first.workflow_id)


async def test_a_result_and_a_list_are_typed(client: AsyncClient, repository: PostgresCalls) -> None:
    workflow_id = new_workflow_id()
    await repository.write(workflow_id, Batch([segment(1, speaker="caller")], [turn(1)]))
    over = finished(workflow_id, duration_seconds=60.5)
    over.params.phone_number = "+493012345678"
    await repository.finish(over)

    result = await client.result(workflow_id)
    page = await client.list(CallStatus.COMPLETED, phone_number="+493012345678")

    assert (result.status, result.duration_seconds) == (CallStatus.COMPLETED, 60.5)
    assert (result.transcript[0].speaker, result.turns[0].response_ms) == ("caller", 800)
    assert workflow_id in [call.workflow_id for call in page.calls]
    assert page.calls[0].ended_at is not None


async def test_what_is_refused_says_why(client: AsyncClient) -> None:
    with pytest.raises(ApiError) as unknown:
        await client.get(new_workflow_id())
    with pytest.raises(ApiError) as invalid:
        await client.create(NewCall("5551234", " "))

    assert (unknown.value.code, unknown.value.reason) == (grpc.StatusCode.NOT_FOUND, "CALL_NOT_FOUND")
    assert set(invalid.value.violations) == {"phone_number", "system_prompt"}


async def test_a_watch_is_typed_and_goes_on_through_cut_connections(
    control: Control, redis: Redis, sessions: RedisSessions
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="in_progress"))
    words = 30
    items = []
    async with Relay(control.endpoints.grpc) as relay, AsyncClient(f"127.0.0.1:{relay.port}") as client:
        await add(redis, workflow_id, 1, stream_started=events.StreamStarted(stream_sid="MZ1"))
        async for item in client.watch(workflow_id):
            items.append(item)
            said = sum(isinstance(each, Delta) for each in items)
            if isinstance(item, Event | Delta) and said < words:
                if said % 5 == 4:
                    relay.refuse()
                    relay.accept()
                text = events.TranscriptDelta(segment_id=1, speaker=events.SPEAKER_AGENT, text=f"{said} ")
                await add(redis, workflow_id, said + 2, transcript_delta=text)
            elif said == words:
                segment = events.TranscriptSegment(segment_id=1, speaker=events.SPEAKER_AGENT, text="all")
                await add(redis, workflow_id, 90, transcript_segment=segment)
                await add(redis, workflow_id, 91, turn_completed=events.TurnCompleted(turn=1))
                news = status_event(workflow_id, Status.COMPLETED, 0, end_reason="caller_hangup")
                await sessions.update(workflow_id, news=news, status="completed")
                words = -1

    assert "".join(each.text for each in items if isinstance(each, Delta)) == "".join(
        f"{number} " for number in range(30)
    )
    assert [type(each) for each in items if not isinstance(each, Delta)] == [
        StatusReached,
        Event,
        Segment,
        TurnDone,
        Ended,
    ]
    sequences = [each.sequence for each in items]
    assert sequences == sorted(set(sequences))


async def test_what_may_be_sent_twice_is_tried_until_the_server_is_there(
    control: Control, repository: PostgresCalls
) -> None:
    workflow_id = new_workflow_id()
    await repository.finish(finished(workflow_id))
    async with Relay(control.endpoints.grpc) as relay, AsyncClient(f"127.0.0.1:{relay.port}") as client:
        assert (await client.get(workflow_id)).status is CallStatus.COMPLETED
        relay.refuse()
        asked = asyncio.create_task(client.get(workflow_id))
        done, _ = await asyncio.wait([asked], timeout=0.3)
        assert not done
        relay.accept()
        assert (await asked).status is CallStatus.COMPLETED


async def test_the_client_for_threads_does_the_same(
    control: Control, redis: Redis, sessions: RedisSessions, worker: Worker
) -> None:
    workflow_id = new_workflow_id()
    await sessions.put(session(workflow_id, status="in_progress"))
    text = events.TranscriptDelta(segment_id=1, speaker=events.SPEAKER_CALLER, text="Hi")
    await add(redis, workflow_id, 1, transcript_delta=text)
    news = status_event(workflow_id, Status.COMPLETED, 0, end_reason="agent_hangup")
    await sessions.update(workflow_id, news=news, status="completed")

    def use() -> list[object]:
        assert threading.current_thread() is not threading.main_thread()
        with Client(control.endpoints.grpc) as client:
            created = client.create(CALL)
            client.send_dtmf(created.workflow_id, "1#")
            client.transfer(created.workflow_id, "+15557654321", warm=True, summary="x")
            assert client.get(created.workflow_id).phone_number == CALL.phone_number
            client.terminate(created.workflow_id)
            with pytest.raises(ApiError) as refused:
                client.say(workflow_id, "too late")
            assert refused.value.reason == "CALL_NOT_LIVE"
            assert client.list(CallStatus.BUSY, page_size=1).calls is not None
            return list(client.watch(workflow_id))

    status, said, ended = await asyncio.to_thread(use)

    assert status == StatusReached(1, CallStatus.INITIATED)
    assert isinstance(said, Delta)
    assert (said.speaker, said.text) == ("caller", "Hi")
    assert isinstance(ended, Ended)
    assert ended.end_reason == "agent_hangup"
