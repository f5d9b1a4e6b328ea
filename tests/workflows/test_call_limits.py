"""Every wait of CallWorkflow has an end: run on Temporal's time-skipping server, hours take milliseconds."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from tests.support.fake_activities import FakeActivities, fails
from tests.workflows.conftest import Handle, call_params
from workflows.call import CallWorkflow
from workflows.contracts import (
    CALL_WORKFLOW,
    ERRORS,
    TASK_QUEUE,
    CallParams,
    CallResult,
    CallStatus,
    EndReason,
    StreamEnded,
    StreamStarted,
    TwilioStatus,
)


@pytest.fixture
async def skipping() -> AsyncIterator[Client]:
    """A server of its own for each test: the clock that one test turns ahead is every workflow's clock."""
    server = Path(sys.executable).parent / "temporal-test-server"
    async with await WorkflowEnvironment.start_time_skipping(test_server_existing_path=str(server)) as env:
        yield env.client


Start = Callable[[CallParams], Awaitable[Handle]]


@asynccontextmanager
async def worked(client: Client, fakes: FakeActivities) -> AsyncIterator[Start]:
    """A worker with these activities; yields what starts a call on it."""

    async def start(params: CallParams) -> Handle:
        return await client.start_workflow(
            CALL_WORKFLOW,
            params,
            id=params.workflow_id,
            task_queue=TASK_QUEUE,
            result_type=CallResult,
            execution_timeout=timedelta(days=2),
        )

    async with Worker(client, task_queue=TASK_QUEUE, workflows=[CallWorkflow], activities=fakes.all):
        yield start


async def twilio_says(handle: Handle, *words: str) -> None:
    for sequence, word in enumerate(words):
        await handle.signal("twilio_status", TwilioStatus("CA1", word, sequence))


async def stream_starts(handle: Handle) -> None:
    await handle.signal("stream_started", StreamStarted("MZ1", "CA1", "node-1", ""))


async def test_a_call_that_lasts_too_long_is_hung_up_after_its_duration(skipping: Client) -> None:
    fakes = FakeActivities()
    async with worked(skipping, fakes) as start:
        handle = await start(call_params(max_duration_seconds=1800))
        await twilio_says(handle, "initiated", "ringing", "in-progress")
        await stream_starts(handle)
        result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.COMPLETED, EndReason.MAX_DURATION)
    assert result.duration_seconds == pytest.approx(1800, abs=3)
    assert [hang_up.call_sid for hang_up in fakes.inputs("hang_up")] == ["CA1"]
    assert [end.reason for end in fakes.inputs("end_media")] == ["max_duration"]


async def test_a_phone_that_only_rings_is_given_up(skipping: Client) -> None:
    fakes = FakeActivities()
    async with worked(skipping, fakes) as start:
        handle = await start(call_params())
        await twilio_says(handle, "initiated", "ringing")
        result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.NO_ANSWER, EndReason.NO_ANSWER)
    assert result.duration_seconds == 0
    assert len(fakes.inputs("hang_up")) == 1


async def test_a_call_of_which_twilio_never_speaks_again_is_given_up(skipping: Client) -> None:
    fakes = FakeActivities()
    async with worked(skipping, fakes) as start:
        handle = await start(call_params())
        result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.NO_ANSWER, EndReason.NO_ANSWER)
    assert "never said that it rings" in result.error
    assert len(fakes.inputs("hang_up")) == 1


async def test_an_answered_call_without_a_media_stream_fails(skipping: Client) -> None:
    fakes = FakeActivities()
    async with worked(skipping, fakes) as start:
        handle = await start(call_params())
        await twilio_says(handle, "initiated", "ringing", "in-progress")
        result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.FAILED, EndReason.MEDIA_FAILED)
    assert "no media stream" in result.error
    assert len(fakes.inputs("hang_up")) == 1
    assert len(fakes.inputs("end_media")) == 1


@pytest.mark.parametrize("reason", ["stop", "socket_closed"])
async def test_a_stream_that_ends_without_a_final_callback_ends_the_call(
    skipping: Client, reason: str
) -> None:
    fakes = FakeActivities()
    async with worked(skipping, fakes) as start:
        handle = await start(call_params())
        await twilio_says(handle, "initiated", "ringing", "in-progress")
        await stream_starts(handle)
        await handle.signal("stream_ended", StreamEnded(reason, "", "node-1", ""))
        result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.COMPLETED, EndReason.CALLER_HANGUP)
    assert result.duration_seconds < 3, "the wait for the callback is no part of the conversation"
    assert len(fakes.inputs("hang_up")) == 1, "nobody said that the telephone leg is over"
    assert fakes.inputs("end_media") == [], "the node said that the media leg is over"


async def test_a_call_goes_on_while_its_bookkeeping_fails(skipping: Client) -> None:
    fakes = FakeActivities(on_record=fails(RuntimeError("Postgres is away")))
    async with worked(skipping, fakes) as start:
        handle = await start(call_params(max_duration_seconds=300))
        await twilio_says(handle, "initiated", "ringing", "in-progress")
        await stream_starts(handle)
        result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.COMPLETED, EndReason.MAX_DURATION)
    assert len(fakes.inputs("record_status")) > 10
    assert fakes.inputs("record_status")[-1].status == CallStatus.IN_PROGRESS, "the newest state is retried"
    assert len(fakes.inputs("finish_call")) == 1
    assert fakes.names[-1] == "finish_call", "nothing is recorded beside or after the result"


async def test_dialing_is_retried_while_twilio_is_away_and_then_given_up(skipping: Client) -> None:
    fakes = FakeActivities(on_dial=fails(ApplicationError("twilio is unavailable: no route", type="Away")))
    async with worked(skipping, fakes) as start:
        handle = await start(call_params())
        result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.FAILED, EndReason.DIAL_FAILED)
    assert result.error == "twilio is unavailable: no route"
    assert len(fakes.inputs("dial")) > 5
    assert fakes.inputs("hang_up") == []


async def test_preparing_is_retried_while_no_node_has_room_and_then_given_up(skipping: Client) -> None:
    fakes = FakeActivities(on_prepare=fails(ApplicationError("no room anywhere", type=ERRORS.no_node)))
    async with worked(skipping, fakes) as start:
        handle = await start(call_params())
        result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.FAILED, EndReason.MEDIA_FAILED)
    assert result.error == "no room anywhere"
    assert len(fakes.inputs("prepare_media")) > 5
    assert len(fakes.inputs("hang_up")) == 1, "the phone must not go on ringing"
    assert fakes.inputs("end_media") == []


async def test_a_telephone_leg_that_cannot_be_hung_up_does_not_keep_the_result(skipping: Client) -> None:
    fakes = FakeActivities(
        on_hang_up=fails(ApplicationError("twilio is unavailable")),
        on_end_media=fails(ApplicationError("the node is unavailable")),
    )
    async with worked(skipping, fakes) as start:
        handle = await start(call_params(max_duration_seconds=30))
        await twilio_says(handle, "initiated", "ringing", "in-progress")
        await stream_starts(handle)
        result = await handle.result()
    assert (result.status, result.end_reason) == (CallStatus.COMPLETED, EndReason.MAX_DURATION)
    assert len(fakes.inputs("hang_up")) > 5
    assert len(fakes.inputs("finish_call")) == 1
