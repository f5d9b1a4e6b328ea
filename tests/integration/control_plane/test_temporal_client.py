from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.worker import Worker

from control_plane.adapters.temporal_client import TemporalOrchestrator
from control_plane.errors import CallNotFound, DependencyUnavailable
from control_plane.settings import Settings
from tests.support.control import free_port, new_workflow_id
from tests.support.records import params
from workflows.contracts import CallStatus, CallView, Terminate, TwilioStatus


@pytest.fixture
async def orchestrator(settings: Settings, worker: Worker) -> TemporalOrchestrator:
    return TemporalOrchestrator(settings.temporal_host, settings.temporal_namespace)


@pytest.fixture
async def call(orchestrator: TemporalOrchestrator) -> AsyncIterator[str]:
    workflow_id = new_workflow_id()
    await orchestrator.start_call(params(workflow_id))
    yield workflow_id
    await orchestrator.terminate(workflow_id, Terminate())


async def test_starting_the_same_call_again_finds_the_one_that_runs(
    orchestrator: TemporalOrchestrator,
) -> None:
    workflow_id = new_workflow_id()
    first = await orchestrator.start_call(params(workflow_id))
    second = await orchestrator.start_call(params(workflow_id))

    assert first == second != ""
    await orchestrator.terminate(workflow_id, Terminate())


async def test_a_running_call_tells_its_view(orchestrator: TemporalOrchestrator, call: str) -> None:
    assert await orchestrator.view(call) == CallView(call, CallStatus.RINGING)


async def test_what_is_said_to_no_workflow_is_call_not_found(orchestrator: TemporalOrchestrator) -> None:
    workflow_id = new_workflow_id()

    with pytest.raises(CallNotFound):
        await orchestrator.terminate(workflow_id, Terminate())
    with pytest.raises(CallNotFound):
        await orchestrator.twilio_status(workflow_id, TwilioStatus("CA1", "ringing", 1))
    with pytest.raises(CallNotFound):
        await orchestrator.view(workflow_id)


async def test_workers_are_seen_polling(orchestrator: TemporalOrchestrator, call: str) -> None:
    await orchestrator.view(call)  # answered by a worker, so there is one

    assert await orchestrator.pollers() >= 1


async def test_a_namespace_that_does_not_exist_is_unavailable(settings: Settings) -> None:
    elsewhere = TemporalOrchestrator(settings.temporal_host, "no-such-namespace")

    with pytest.raises(DependencyUnavailable, match="no-such-namespace"):
        await elsewhere.start_call(params(new_workflow_id()))


async def test_nobody_listening_is_unavailable_every_time() -> None:
    nobody = TemporalOrchestrator(f"127.0.0.1:{free_port()}", "default")

    for _ in range(2):
        with pytest.raises(DependencyUnavailable, match="temporal"):
            await nobody.ping()
