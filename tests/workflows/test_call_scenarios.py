"""What can happen to a call, with real activities against real servers."""

from __future__ import annotations

import asyncio
import uuid

import grpc
import pytest
from temporalio.client import WorkflowUpdateFailedError

from control_plane.service.ports import Session
from protos.voiceplane.events.v1 import events_pb2
from tests.support.eventually import eventually
from tests.support.media_node import running_media_node
from tests.support.twilio_api import Call, Failure
from tests.workflows.conftest import Handle, World, call_params
from workflows import policies
from workflows.contracts import AwaitStatus, CallParams, CallStatus, CallView, EndReason, Terminate
from workflows.worker import build


async def view(handle: Handle) -> CallView:
    answer: CallView = await handle.query("status", result_type=CallView)
    return answer


async def becomes(handle: Handle, not_status: CallStatus) -> CallView:
    answer: CallView = await handle.execute_update(
        "await_status", AwaitStatus(not_status), result_type=CallView
    )
    return answer


async def go_live(world: World, params: CallParams) -> tuple[Handle, Call]:
    handle = await world.start(params)
    call = await world.dialed(params)
    for sequence, word in enumerate(["initiated", "ringing", "in-progress"]):
        await world.callback(handle, call, word, sequence)
    await eventually(lambda: params.workflow_id in world.node.prepared)
    await world.node.start_stream(params.workflow_id, call.sid)

    async def live() -> bool:
        return bool((await view(handle)).stream_sid)

    await eventually(live)
    return handle, call


async def hang_up(world: World, handle: Handle, params: CallParams, call: Call) -> None:
    await world.node.end_stream(params.workflow_id)
    await world.callback(handle, call, "completed", 3, duration_seconds=1)


async def session_of(world: World, params: CallParams) -> Session:
    session = await world.ports.sessions.get(params.workflow_id)
    assert session is not None
    return session


async def test_callbacks_out_of_order_and_twice_change_nothing(world: World) -> None:
    params = call_params()
    handle = await world.start(params)
    call = await world.dialed(params)
    for word, sequence in [("in-progress", 2), ("ringing", 1), ("in-progress", 2), ("initiated", 0)]:
        await world.callback(handle, call, word, sequence)
    assert (await view(handle)).status == CallStatus.IN_PROGRESS
    await world.callback(handle, call, "completed", 3, duration_seconds=1)
    result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.COMPLETED, EndReason.CALLER_HANGUP)
    assert len(world.twilio.placed(params.phone_number)) == 1


@pytest.mark.parametrize(("word", "status"), [("busy", CallStatus.BUSY), ("no-answer", CallStatus.NO_ANSWER)])
async def test_a_call_that_nobody_takes_ends_as_twilio_says(
    world: World, word: str, status: CallStatus
) -> None:
    params = call_params()
    handle = await world.start(params)
    call = await world.dialed(params)
    await world.callback(handle, call, "ringing", 1)
    await world.callback(handle, call, word, 2)
    result = await handle.result()
    assert (result.status, result.end_reason.value) == (status, status.value)
    assert f"POST {call.sid}" not in world.twilio.requests
    assert world.node.ended[params.workflow_id] == status.value
    row = await world.ports.calls.get(params.workflow_id)
    assert row is not None
    assert (row.status, row.answered_at, row.duration_seconds) == (status.value, "", 0)


async def test_terminating_a_ringing_call_stops_the_phone_and_the_session(world: World) -> None:
    params = call_params()
    handle = await world.start(params)
    call = await world.dialed(params)
    await world.callback(handle, call, "ringing", 1)
    assert (await becomes(handle, CallStatus.INITIATED)).status == CallStatus.RINGING
    await handle.signal("terminate", Terminate("a test"))
    result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.CANCELED, EndReason.TERMINATED)
    assert call.status == "completed", "Twilio was told to end it"
    assert world.node.ended[params.workflow_id] == "terminated"


async def test_terminating_a_live_call_hangs_up_and_keeps_its_transcript(world: World) -> None:
    params = call_params()
    handle, call = await go_live(world, params)
    await world.node.speak(params.workflow_id, 1, "Hello!", agent=True)
    await handle.signal("terminate", Terminate())
    result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.COMPLETED, EndReason.TERMINATED)
    assert call.status == "completed"
    assert result.segments == 1
    assert (await session_of(world, params)).status == "completed"


async def test_terminating_while_the_dial_is_being_retried_places_no_call(world: World) -> None:
    params = call_params()
    world.twilio.failures = [Failure(status=429, code=20429) for _ in range(50)]
    handle = await world.start(params)
    await eventually(lambda: "POST Calls" in world.twilio.requests)
    await handle.signal("terminate", Terminate())
    result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.CANCELED, EndReason.TERMINATED)
    assert world.twilio.placed(params.phone_number) == []


async def test_a_call_terminated_before_it_began_dials_nobody(quiet_world: World) -> None:
    params = call_params()
    handle = await quiet_world.start(params)
    await handle.signal("terminate", Terminate("its start was answered with 503"))
    async with build(quiet_world.client, quiet_world.ports):
        result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.CANCELED, EndReason.TERMINATED)
    assert quiet_world.twilio.requests == []
    assert params.workflow_id not in quiet_world.node.prepared


async def test_a_workflow_cancelled_in_temporal_lets_the_caller_go(world: World) -> None:
    params = call_params()
    handle, call = await go_live(world, params)
    await handle.cancel()
    result = await handle.result()
    assert result.end_reason == EndReason.TERMINATED
    assert call.status == "completed"
    assert params.workflow_id in world.node.ended


async def test_a_number_that_twilio_refuses_ends_the_call_with_a_plain_reason(world: World) -> None:
    params = call_params()
    world.twilio.failures = [Failure(status=400, code=21211)]
    handle = await world.start(params)
    result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.FAILED, EndReason.DIAL_FAILED)
    assert result.error == "Twilio error 21211: this is no valid phone number"
    assert world.twilio.requests.count("POST Calls") == 1
    row = await world.ports.calls.get(params.workflow_id)
    assert row is not None
    assert (row.status, row.end_reason, row.error) == ("failed", "dial_failed", result.error)


async def test_a_busy_twilio_is_asked_again(world: World) -> None:
    params = call_params()
    world.twilio.failures = [Failure(status=429, code=20429)]
    handle = await world.start(params)
    call = await world.dialed(params)
    await world.callback(handle, call, "busy", 1)
    assert (await handle.result()).status == CallStatus.BUSY


@pytest.mark.parametrize(
    "failure", [Failure(place=True), Failure(place=True, status=502)], ids=["cut", "gateway"]
)
async def test_a_call_placed_without_our_hearing_so_is_found_and_never_dialed_twice(
    world: World, failure: Failure
) -> None:
    params = call_params()
    world.twilio.failures = [failure]
    handle = await world.start(params)
    call = await world.dialed(params)

    async def found() -> bool:
        return (await view(handle)).call_sid == call.sid

    await eventually(found)
    await world.callback(handle, call, "busy", 1)
    result = await handle.result()
    assert (result.status, result.call_sid) == (CallStatus.BUSY, call.sid)
    assert len(world.twilio.placed(params.phone_number)) == 1


async def test_the_first_callback_tells_a_dial_without_an_answer_that_it_was_placed(world: World) -> None:
    params = call_params()
    world.twilio.failures = [Failure(place=True)]
    world.twilio.list_failures = 1000
    handle = await world.start(params)
    call = await world.dialed(params)
    await world.callback(handle, call, "initiated", 0)

    async def answered() -> bool:
        history = await handle.fetch_history()
        return any(
            event.HasField("activity_task_completed_event_attributes")
            and b"call_sid" in event.activity_task_completed_event_attributes.SerializeToString()
            for event in history.events
        )

    await eventually(answered)
    await world.callback(handle, call, "no-answer", 1)
    assert (await handle.result()).call_sid == call.sid
    assert len(world.twilio.placed(params.phone_number)) == 1


async def test_a_full_node_and_a_dead_one_leave_the_call_to_the_third(world: World) -> None:
    params = call_params()
    world.node.refusals = [(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")]
    async with running_media_node(world.redis, f"node-{uuid.uuid4().hex}") as dead:
        dead.refusals = [(grpc.StatusCode.UNAVAILABLE, "draining")] * 5
        async with running_media_node(world.redis, f"node-{uuid.uuid4().hex}", registered=False) as third:
            await third.register(calls=9)
            handle = await world.start(params)
            await eventually(lambda: params.workflow_id in third.prepared)
            call = await world.dialed(params)
            await world.callback(handle, call, "busy", 1)
            await handle.result()
            assert third.ended[params.workflow_id] == "busy"


async def test_a_setup_that_the_model_refuses_ends_the_call_at_once(world: World) -> None:
    params = call_params()
    world.node.refusals = [(grpc.StatusCode.FAILED_PRECONDITION, "no such voice: Puk")] * 5
    handle = await world.start(params)
    result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.FAILED, EndReason.MODEL_FAILED)
    assert "no such voice: Puk" in result.error
    assert len(world.node.refusals) == 4, "asked once"
    assert all(call.status == "completed" for call in world.twilio.placed(params.phone_number))


async def test_a_model_that_breaks_ends_the_call(world: World) -> None:
    params = call_params()
    handle, call = await go_live(world, params)
    await world.node.end_stream(
        params.workflow_id, events_pb2.STREAM_END_REASON_MODEL_FAILED, "closed with 1011"
    )
    result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.FAILED, EndReason.MODEL_FAILED)
    assert "closed with 1011" in result.error
    assert call.status == "completed"


async def test_a_second_call_placed_by_mistake_is_hung_up(world: World) -> None:
    params = call_params()
    handle = await world.start(params)
    call = await world.dialed(params)
    mistake = Call(f"CA{uuid.uuid4().hex}", params.phone_number, call.params, call.created)
    world.twilio.calls[mistake.sid] = mistake
    await eventually(lambda: params.workflow_id in world.node.prepared)

    async def known() -> bool:
        return (await view(handle)).call_sid == call.sid

    await eventually(known)
    await world.callback(handle, mistake, "ringing", 1)
    await world.callback(handle, call, "busy", 1)
    await handle.result()
    assert mistake.status == "completed"


async def test_a_node_that_dies_takes_no_line_with_it_that_it_had_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "DRAIN_GRACE", policies.DRAIN_GRACE / 20)
    params = call_params()
    handle, _ = await go_live(world, params)
    await world.node.speak(params.workflow_id, 1, "Are you there?")
    world.node.silent_end = True
    await handle.signal("terminate", Terminate())
    result = await handle.result()
    assert result.segments == 1
    assert [s.text for s in await world.ports.calls.transcript(params.workflow_id)] == ["Are you there?"]


async def test_await_status_refuses_what_is_no_status(world: World) -> None:
    params = call_params()
    handle = await world.start(params)
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await handle.execute_update("await_status", AwaitStatus("hungry"), result_type=CallView)
    assert "'hungry' is no call status" in str(refused.value.cause)
    await handle.signal("terminate", Terminate())
    await handle.result()


async def test_await_status_answers_at_the_next_change(world: World) -> None:
    params = call_params()
    handle = await world.start(params)
    call = await world.dialed(params)
    waiting = asyncio.create_task(becomes(handle, CallStatus.INITIATED))
    await world.callback(handle, call, "busy", 1)
    assert (await waiting).status == CallStatus.BUSY
    await handle.result()


async def test_another_worker_goes_on_with_a_call_and_no_line_is_lost_or_doubled(
    quiet_world: World,
) -> None:
    world = quiet_world
    params = call_params()
    lines = [f"line {number}" for number in range(1, 9)]
    async with build(world.client, world.ports):
        handle, call = await go_live(world, params)
        for number in (1, 2, 3):
            await world.node.speak(params.workflow_id, number, lines[number - 1])
    for number in (4, 5, 6):
        await world.node.speak(params.workflow_id, number, lines[number - 1])
    async with build(world.client, world.ports):
        for number in (7, 8):
            await world.node.speak(params.workflow_id, number, lines[number - 1])
        await hang_up(world, handle, params, call)
        result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.COMPLETED, EndReason.CALLER_HANGUP)
    assert result.segments == 8
    assert [s.text for s in await world.ports.calls.transcript(params.workflow_id)] == lines
