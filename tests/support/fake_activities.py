"""CallWorkflow's activities, scripted: for tests of what the workflow decides, not of what activities do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from temporalio import activity

from workflows.contracts import (
    CallPerson,
    Dial,
    Dialed,
    EndMedia,
    ExpectedStream,
    ExpectStream,
    FinishCall,
    Followed,
    FollowEvents,
    HangUp,
    PreparedMedia,
    PrepareMedia,
    RecordStatus,
    Steer,
    TellAgent,
)

Behaviour = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    return None


def fails(error: Exception) -> Behaviour:
    async def fail() -> None:
        raise error

    return fail


def waits(event: asyncio.Event) -> Behaviour:
    async def wait() -> None:
        await event.wait()

    return wait


@dataclass
class FakeActivities:
    """Answers as if all went well, unless a behaviour raises or waits first. `log` has (name, input)."""

    call_sid: str = "CA1"
    on_prepare: Behaviour = _nothing
    on_dial: Behaviour = _nothing
    on_record: Behaviour = _nothing
    on_follow: Behaviour = _nothing
    on_hang_up: Behaviour = _nothing
    on_end_media: Behaviour = _nothing
    on_steer: Behaviour = _nothing
    on_call_person: Behaviour = _nothing
    log: list[tuple[str, Any]] = field(default_factory=list)

    def inputs(self, name: str) -> list[Any]:
        return [given for each, given in self.log if each == name]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.log]

    @property
    def all(self) -> list[Callable[..., Any]]:
        return [
            self.prepare_media,
            self.dial,
            self.hang_up,
            self.end_media,
            self.record_status,
            self.finish_call,
            self.follow_events,
            self.expect_stream,
            self.steer_call,
            self.call_person,
            self.tell_agent,
        ]

    @activity.defn(name="prepare_media")
    async def prepare_media(self, request: PrepareMedia) -> PreparedMedia:
        self.log.append(("prepare_media", request))
        await self.on_prepare()
        return PreparedMedia("node-1", "127.0.0.1:1", f"ws://node-1/{request.workflow_id}", 5)

    @activity.defn(name="dial")
    async def dial(self, request: Dial) -> Dialed:
        self.log.append(("dial", request))
        await self.on_dial()
        return Dialed(self.call_sid)

    @activity.defn(name="hang_up")
    async def hang_up(self, request: HangUp) -> None:
        self.log.append(("hang_up", request))
        await self.on_hang_up()

    @activity.defn(name="end_media")
    async def end_media(self, request: EndMedia) -> None:
        self.log.append(("end_media", request))
        await self.on_end_media()

    @activity.defn(name="record_status")
    async def record_status(self, change: RecordStatus) -> None:
        self.log.append(("record_status", change))
        await self.on_record()

    @activity.defn(name="finish_call")
    async def finish_call(self, result: FinishCall) -> None:
        self.log.append(("finish_call", result))

    @activity.defn(name="follow_events")
    async def follow_events(self, request: FollowEvents) -> Followed:
        self.log.append(("follow_events", request))
        await self.on_follow()
        return Followed(last_entry="1-1", segments=3)

    @activity.defn(name="expect_stream")
    async def expect_stream(self, request: ExpectStream) -> ExpectedStream:
        self.log.append(("expect_stream", request))
        return ExpectedStream(f"ws://node-1/{request.workflow_id}/again")

    @activity.defn(name="steer_call")
    async def steer_call(self, request: Steer) -> None:
        self.log.append(("steer_call", request))
        await self.on_steer()

    @activity.defn(name="call_person")
    async def call_person(self, request: CallPerson) -> Dialed:
        self.log.append(("call_person", request))
        await self.on_call_person()
        return Dialed("CA2")

    @activity.defn(name="tell_agent")
    async def tell_agent(self, request: TellAgent) -> None:
        self.log.append(("tell_agent", request))
