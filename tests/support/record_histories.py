"""Record what tests/workflows/test_replay.py replays: `python -m tests.support.record_histories`.

Run it when CallWorkflow is meant to take other steps; a change that was not meant to breaks the replay of
those committed. Needs only the Temporal dev server: activities are scripted.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from control_plane.devstack.binaries import temporal
from tests.support.eventually import eventually
from tests.support.fake_activities import FakeActivities, fails, waits
from workflows.call import CallWorkflow
from workflows.contracts import (
    CALL_WORKFLOW,
    TASK_QUEUE,
    CallParams,
    CallResult,
    CallView,
    Direction,
    MachineDetected,
    SendDtmf,
    StreamEnded,
    StreamStarted,
    Terminate,
    TransferLeg,
    TransferRequest,
    TwilioStatus,
)

HISTORIES = Path(__file__).parents[1] / "workflows" / "histories"
DEADLINE_S = 60.0

Handle = WorkflowHandle[object, CallResult]
Scenario = Callable[["Scene"], Awaitable[None]]


@dataclass
class Scene:
    handle: Handle
    fakes: FakeActivities
    stream_ended: asyncio.Event  # the follower has read and written StreamEnded

    async def twilio_says(self, *words: str) -> None:
        for sequence, word in enumerate(words):
            await self.handle.signal("twilio_status", TwilioStatus("CA1", word, sequence))

    async def stream_starts(self) -> None:
        await self.handle.signal("stream_started", StreamStarted("MZ1", "CA1", "node-1", ""))

    async def stream_ends(self, reason: str = "stop") -> None:
        await self.handle.signal("stream_ended", StreamEnded(reason, "", "node-1", ""))
        self.stream_ended.set()

    async def called(self, name: str) -> None:
        await eventually(lambda: bool(self.fakes.inputs(name)))


async def caller_hangs_up(scene: Scene) -> None:
    await scene.called("dial")
    await scene.twilio_says("initiated", "ringing", "in-progress")
    await scene.stream_starts()
    await scene.stream_ends()
    await scene.twilio_says("completed")


async def terminated_while_ringing(scene: Scene) -> None:
    await scene.called("dial")
    await scene.twilio_says("initiated", "ringing")
    await scene.handle.signal("terminate", Terminate("history"))
    await scene.called("end_media")
    scene.stream_ended.set()


async def terminated_while_dialing_again(scene: Scene) -> None:
    scene.fakes.on_dial = fails(ApplicationError("twilio is unavailable"))
    await scene.called("dial")
    await scene.called("record_status")
    await scene.handle.signal("terminate", Terminate("history"))
    await scene.called("end_media")
    scene.stream_ended.set()


async def dial_refused(scene: Scene) -> None:
    scene.fakes.on_dial = fails(ApplicationError("Twilio error 21211: no valid number", type="DialRefused"))
    await scene.called("end_media")
    scene.stream_ended.set()


async def longest_duration(scene: Scene) -> None:
    await scene.called("dial")
    await scene.twilio_says("in-progress")
    await scene.stream_starts()
    await scene.called("end_media")
    scene.stream_ended.set()


async def node_lost(scene: Scene) -> None:
    await scene.called("dial")
    await scene.twilio_says("in-progress")
    await scene.stream_starts()
    scene.fakes.on_follow = fails(ApplicationError("stream cut off", non_retryable=True))
    scene.stream_ended.set()
    await scene.handle.signal("stream_ended", StreamEnded("model_failed", "", "node-1", ""))
    await scene.called("finish_call")


async def goes_live(scene: Scene) -> None:
    await scene.called("prepare_media")
    await scene.called("dial")
    await scene.twilio_says("initiated", "ringing", "in-progress")
    await scene.stream_starts()

    async def known() -> bool:
        view: CallView = await scene.handle.query("status", result_type=CallView)
        return bool(view.stream_sid and view.node_id)

    await eventually(known)


async def caller_hangs_up_now(scene: Scene) -> None:
    await scene.stream_ends()
    await scene.twilio_says("completed")


async def inbound_call(scene: Scene) -> None:
    await scene.called("prepare_media")
    await scene.stream_starts()
    await scene.stream_ends()


async def keys_pressed(scene: Scene) -> None:
    await goes_live(scene)
    await scene.handle.execute_update("send_dtmf", SendDtmf("1w2"), result_type=CallView)
    await scene.handle.signal("stream_started", StreamStarted("MZ2", "CA1", "node-1", ""))
    await caller_hangs_up_now(scene)


async def message_left(scene: Scene) -> None:
    await goes_live(scene)
    await scene.handle.signal("machine_detected", MachineDetected("CA1", "machine_end_beep", 3000))
    await scene.called("steer_call")
    await caller_hangs_up_now(scene)


async def handed_over_cold(scene: Scene) -> None:
    await goes_live(scene)
    await scene.handle.execute_update("transfer", TransferRequest("+14155550101"), result_type=CallView)
    await scene.handle.signal("transfer_leg", TransferLeg(1, "answered"))
    await scene.called("end_media")
    await scene.stream_ends("requested")
    await scene.twilio_says("completed")


async def nobody_took_it_cold(scene: Scene) -> None:
    await goes_live(scene)
    await scene.handle.execute_update("transfer", TransferRequest("+14155550101"), result_type=CallView)
    await scene.handle.signal("transfer_leg", TransferLeg(1, "over", status="busy"))
    await scene.handle.signal("stream_started", StreamStarted("MZ2", "CA1", "node-1", ""))
    await scene.called("tell_agent")
    await caller_hangs_up_now(scene)


async def handed_over_warm(scene: Scene) -> None:
    await goes_live(scene)
    request = TransferRequest("+14155550101", "warm", "About tea.")
    await scene.handle.execute_update("transfer", request, result_type=CallView)
    await scene.handle.signal("transfer_leg", TransferLeg(1, "accepted"))
    await scene.called("steer_call")
    await caller_hangs_up_now(scene)


async def declined_warm(scene: Scene) -> None:
    await goes_live(scene)
    request = TransferRequest("+14155550101", "warm", "About tea.")
    await scene.handle.execute_update("transfer", request, result_type=CallView)
    await scene.handle.signal("transfer_leg", TransferLeg(1, "over", status="completed"))
    await scene.called("tell_agent")
    await caller_hangs_up_now(scene)


async def caller_gone_while_the_person_rings(scene: Scene) -> None:
    await goes_live(scene)
    request = TransferRequest("+14155550101", "warm")
    await scene.handle.execute_update("transfer", request, result_type=CallView)
    await caller_hangs_up_now(scene)
    await scene.called("hang_up")


SCENARIOS: dict[str, Scenario] = {
    each.__name__: each
    for each in (
        caller_hangs_up,
        terminated_while_ringing,
        terminated_while_dialing_again,
        dial_refused,
        longest_duration,
        node_lost,
        inbound_call,
        keys_pressed,
        message_left,
        handed_over_cold,
        nobody_took_it_cold,
        handed_over_warm,
        declined_warm,
        caller_gone_while_the_person_rings,
    )
}


@asynccontextmanager
async def recorder() -> AsyncIterator[Client]:
    server = await WorkflowEnvironment.start_local(dev_server_existing_path=str(temporal()))
    async with server as env:
        address = env.client.service_client.config.target_host
        yield await Client.connect(address, identity="recorder")


async def record(client: Client, name: str, scenario: Scenario) -> str:
    """Play the scenario; answer its history as JSON."""
    ended = asyncio.Event()
    fakes = FakeActivities(on_follow=waits(ended))
    params = CallParams(
        workflow_id=f"call-{name}",
        call_id="00000000-0000-4000-8000-000000000000",
        phone_number="+14155550100",
        greeting="Hello!",
        system_prompt="You are brief.",
        max_duration_seconds=2 if scenario is longest_duration else 60,
        stream_token="t" * 32,
        created_at="2026-01-01T00:00:00+00:00",
    )
    if scenario is inbound_call:
        params.direction, params.call_sid = Direction.INBOUND, "CA1"
    if scenario is message_left:
        params.on_voicemail, params.voicemail_message = "leave_message", "Call us."
    async with (
        asyncio.timeout(DEADLINE_S),
        Worker(client, task_queue=TASK_QUEUE, workflows=[CallWorkflow], activities=fakes.all),
    ):
        handle: Handle = await client.start_workflow(
            CALL_WORKFLOW,
            params,
            id=params.workflow_id,
            task_queue=TASK_QUEUE,
            result_type=CallResult,
        )
        await scenario(Scene(handle, fakes, ended))
        await handle.result()
        history = await handle.fetch_history()
    return json.dumps(without_stack_traces(json.loads(history.to_json())), indent=1) + "\n"


def without_stack_traces(value: Any) -> Any:
    """A history's JSON without stack traces: replay ignores them, and they name the recorder's folders."""
    if isinstance(value, dict):
        return {key: without_stack_traces(each) for key, each in value.items() if key != "stackTrace"}
    if isinstance(value, list):
        return [without_stack_traces(each) for each in value]
    return value


async def main(names: Sequence[str]) -> None:
    """Those named, or all."""
    HISTORIES.mkdir(exist_ok=True)
    async with recorder() as client:
        for name, scenario in SCENARIOS.items():
            if names and name not in names:
                continue
            (HISTORIES / f"{name}.json").write_text(await record(client, name, scenario))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
