"""`python -m bench.control.dial_twice`: does anybody's telephone ring twice?

Every request to call is taken by the simulated Twilio and never answered: half of the connections are cut at
once, half hang until the client gives up. Meanwhile workers are killed (SIGKILL) one after the other and
started anew. The rest of the system is the real one, stack and all. At the end Twilio's side says how often
each callee's telephone rang: it must be once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from control_plane.devstack.datadir import DataDir
from control_plane.devstack.options import GeminiMode, StackOptions
from control_plane.devstack.plan import Plan, make_plan
from control_plane.devstack.ports import PortAllocator
from control_plane.devstack.stack import Stack
from workflows.contracts import CallResult

_ENDS = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: "activity_task_completed_event_attributes",
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED: "activity_task_failed_event_attributes",
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: "activity_task_timed_out_event_attributes",
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED: "activity_task_canceled_event_attributes",
}
RINGS_FOR_EVER = {"answer_after_ms": 600_000, "outcome": "no-answer"}


@dataclass(frozen=True)
class Trial:
    """calls: to as many callees. cps: of the account. kill_every_s: 0 kills nobody. hang_ms: how long the
    connections last that are not cut at once; the client gives up after 10 s."""

    calls: int = 200
    workers: int = 2
    cps: float = 20.0
    kill_every_s: float = 3.0
    hang_ms: int = 15_000
    within_s: float = 240.0


@dataclass(frozen=True)
class Verdict:
    """rings: how many callees' telephones rang how often. wrong_sid: calls whose result names another call
    than the one that rang. attempts: of dialing, all calls together. seconds: until all were dialed."""

    calls: int
    rings: dict[int, int]
    unfinished: int
    wrong_sid: int
    attempts: int
    kills: int
    seconds: float

    @property
    def holds(self) -> bool:
        return self.rings == {1: self.calls} and not self.unfinished and not self.wrong_sid


async def run(trial: Trial, data_dir: Path) -> Verdict:
    """Make the trial in a stack of its own."""
    options = StackOptions(
        data_dir=data_dir,
        gemini_mode=GeminiMode.SCRIPTED,
        ui=False,
        usual_ports=False,
        isolated=True,
        environ={"TWILIO_CPS": f"{trial.cps:g}"},
    )
    async with (
        Stack(options, planner=_without_workers) as stack,
        httpx.AsyncClient(timeout=30, trust_env=False) as http,
    ):
        return await _Run(trial, stack, http).verdict()


def _without_workers(options: StackOptions, data_dir: DataDir, allocator: PortAllocator) -> Plan:
    """The stack as it is, but for the workers, which the trial starts and kills itself; and Twilio, which
    queues nothing, so that what is measured is our own pacing."""
    plan = make_plan(options, data_dir, allocator)
    found = [each for each in plan.components if each.name != "worker"]
    for index, each in enumerate(found):
        if each.name == "twilio-sim":
            found[index] = replace(each, argv=[*each.argv, "--cps", "0", "--no-speech"])
    return replace(plan, components=found)


class _Run:
    def __init__(self, trial: Trial, stack: Stack, http: httpx.AsyncClient) -> None:
        self._trial = trial
        self._stack = stack
        self._http = http
        self._admin = stack.endpoints["twilio_admin"]
        self._kills = 0

    async def verdict(self) -> Verdict:
        trial = self._trial
        numbers = [f"+1415555{n:04d}" for n in range(trial.calls)]
        for number in numbers:
            await self._ask("PUT", f"{self._admin}/numbers/{number}", RINGS_FOR_EVER)
        lost = {"fault": "api_lost_response", "call": "all", "on": "create"}
        await self._ask("POST", f"{self._admin}/faults", lost | {"probability": 0.5})
        await self._ask("POST", f"{self._admin}/faults", lost | {"after_ms": trial.hang_ms})
        client = await Client.connect(self._stack.endpoints["temporal"])
        began = time.monotonic()
        async with self._workers():
            ids = [await self._create(number) for number in numbers]
            with suppress(TimeoutError):
                async with asyncio.timeout(trial.within_s):
                    for workflow_id in ids:
                        await self._dialed(client, workflow_id)
            seconds = time.monotonic() - began
        rung = await self._rung()
        async with _worker(self._stack.env):
            results = await asyncio.gather(*(self._ended(client, each) for each in ids))
        rings = Counter(len(rung.get(number, [])) for number in numbers)
        return Verdict(
            calls=trial.calls,
            rings=dict(sorted(rings.items())),
            unfinished=sum(result is None for result in results),
            wrong_sid=sum(
                result is not None and [result.call_sid] != rung.get(number)
                for number, result in zip(numbers, results, strict=True)
            ),
            attempts=sum(await asyncio.gather(*(_attempts(client, each) for each in ids))),
            kills=self._kills,
            seconds=round(seconds, 1),
        )

    async def _create(self, number: str) -> str:
        body = {"phone_number": number, "system_prompt": "You are brief.", "max_duration_seconds": 60}
        return str((await self._ask("POST", f"{self._stack.endpoints['rest']}/calls", body))["workflow_id"])

    async def _dialed(self, client: Client, workflow_id: str) -> None:
        """Wait until the activity `dial` is over."""
        while True:
            if await _dial_event(client, workflow_id) is not None:
                return
            await asyncio.sleep(0.25)

    async def _ended(self, client: Client, workflow_id: str) -> CallResult | None:
        handle: Any = client.get_workflow_handle(workflow_id, result_type=CallResult)
        await self._http.post(f"{self._stack.endpoints['rest']}/calls/{workflow_id}/terminate")
        try:
            async with asyncio.timeout(60):
                return CallResult(**vars(await handle.result()))
        except TimeoutError:
            return None

    async def _rung(self) -> dict[str, list[str]]:
        """The sids of the calls that rang at each number, as Twilio saw it."""
        rung: dict[str, list[str]] = {}
        for call in await self._ask("GET", f"{self._admin}/calls"):
            timeline = await self._ask("GET", f"{self._admin}/calls/{call['sid']}/timeline")
            if any(event["kind"] == "ringing" for event in timeline):
                rung.setdefault(call["to"], []).append(call["sid"])
        return rung

    async def _ask(self, method: str, url: str, body: Mapping[str, Any] | None = None) -> Any:
        response = await self._http.request(method, url, json=body)
        response.raise_for_status()
        return response.json() if response.content else None

    @asynccontextmanager
    async def _workers(self) -> AsyncIterator[None]:
        """Workers that die in turn, each replaced at once."""
        slots = [asyncio.create_task(self._keep_one(index)) for index in range(self._trial.workers)]
        try:
            yield
        finally:
            for slot in slots:
                slot.cancel()
            await asyncio.gather(*slots, return_exceptions=True)

    async def _keep_one(self, index: int) -> None:
        """One worker after the other. With n of them, one dies every `kill_every_s`."""
        trial = self._trial
        life_s = trial.kill_every_s * trial.workers
        first = True
        while True:
            async with _worker(self._stack.env) as process:
                if not life_s:
                    await process.wait()
                await asyncio.sleep(life_s * (index + 1) / trial.workers if first else life_s)
                first = False
                process.send_signal(signal.SIGKILL)
                self._kills += 1


@asynccontextmanager
async def _worker(env: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker process that serves; killed at the end."""
    read_end, write_end = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "workflows"),
            env={
                **os.environ,
                **env,
                "VOICEPLANE_READY_FD": str(write_end),
                "WORKER_METRICS_PORT": _free_port(),
            },
            pass_fds=[write_end],
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    finally:
        os.close(write_end)
    try:
        await asyncio.to_thread(os.read, read_end, 4096)
        yield process
    finally:
        os.close(read_end)
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _free_port() -> str:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


async def _dial_event(client: Client, workflow_id: str) -> HistoryEvent | None:
    """How the activity `dial` ended; None: it has not."""
    dial = None
    async for event in client.get_workflow_handle(workflow_id).fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            if event.activity_task_scheduled_event_attributes.activity_type.name == "dial":
                dial = event.event_id
        elif event.event_type in _ENDS and getattr(event, _ENDS[event.event_type]).scheduled_event_id == dial:
            return event
    return None


async def _attempts(client: Client, workflow_id: str) -> int:
    """How many attempts to dial it took."""
    ended = await _dial_event(client, workflow_id)
    if ended is None:
        return 0
    started = getattr(ended, _ENDS[ended.event_type]).started_event_id
    async for event in client.get_workflow_handle(workflow_id).fetch_history_events():
        if event.event_id == started:
            return event.activity_task_started_event_attributes.attempt
    return 0


def main() -> None:
    defaults = Trial()
    parser = argparse.ArgumentParser(prog="python -m bench.control.dial_twice", description=__doc__)
    parser.add_argument("--calls", type=int, default=defaults.calls)
    parser.add_argument("--workers", type=int, default=defaults.workers)
    parser.add_argument("--cps", type=float, default=defaults.cps)
    parser.add_argument("--kill-every-s", type=float, default=defaults.kill_every_s)
    parser.add_argument("--hang-ms", type=int, default=defaults.hang_ms)
    parser.add_argument("--within-s", type=float, default=defaults.within_s)
    trial = Trial(**vars(parser.parse_args()))
    with TemporaryDirectory(prefix="voiceplane-dial-") as folder:
        Path(folder).chmod(0o755)  # root's PostgreSQL runs as another user
        verdict = asyncio.run(run(trial, Path(folder) / "data"))
    print(json.dumps(asdict(trial) | asdict(verdict)))
    print("each callee was rung once" if verdict.holds else "IT DOES NOT HOLD")
    sys.exit(0 if verdict.holds else 1)


if __name__ == "__main__":
    main()
