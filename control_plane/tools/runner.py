"""Executes the model's function calls: takes them from the stream that all workers share, answers their node.

Each call is delivered to one worker (a consumer group), and executed by whoever holds its claim, a lease in
Redis. A worker that dies leaves both behind: after the lease another one finds the entry and begins anew,
with the same idempotency key. An execution whose answer was written down is not repeated, only delivered.
So a call is executed once, and twice only if its executor died, or stood still, in the middle of it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import structlog
from google.protobuf.message import DecodeError
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from control_plane.adapters.redis_client import ANSWER_S, reached
from control_plane.errors import DependencyUnavailable
from control_plane.service.ports import ToolAnswers
from control_plane.tools import metrics
from control_plane.tools.http_tool import ToolRequest
from control_plane.tools.store import ClaimState, ToolStore
from control_plane.tools.toolbox import arguments_of
from protos.voiceplane.events.v1.events_pb2 import CallEvent

_log = structlog.get_logger(__name__)

STREAM = "tools"
GROUP = "workers"
MAX_RUNNING = 500
BLOCK_S = 1.0
MAX_RESPONSE = 65_536  # bytes of JSON a media node takes
DELIVER_S = 10.0  # a node that does not answer for so long is gone, and the call with it
_RETRY_S = 0.25
_AWAY_S = 1.0
_FORGET_MS = 600_000  # consumers that have nothing and asked for nothing since: workers that are gone

Entry = tuple[bytes, dict[bytes, bytes] | None]


class Executes(Protocol):
    async def execute(self, request: ToolRequest) -> dict[str, Any]: ...


class ToolRunner:
    """`run` until `stop`.

    Args:
        redis: answers bytes, and waits longer for an answer than BLOCK_S.
        owner: unique to this process.
    """

    def __init__(
        self, redis: Redis, store: ToolStore, tools: Executes, nodes: ToolAnswers, *, owner: str
    ) -> None:
        self._redis = redis
        self._store = store
        self._tools = tools
        self._nodes = nodes
        self._owner = owner
        self._running: dict[bytes, asyncio.Task[None]] = {}
        self._by_call: dict[tuple[str, str], asyncio.Task[str]] = {}
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Take calls until `stop`; Redis away is waited out."""
        takeover = asyncio.create_task(self._take_over(), name="tools take-over")
        away = False
        try:
            while not self._stopping.is_set():
                try:
                    await self._read()
                    away = False
                except DependencyUnavailable as error:
                    if not away:
                        _log.warning("can't read tool calls", error=str(error))
                    away = True
                    await asyncio.sleep(_AWAY_S)
        finally:
            takeover.cancel()
            await asyncio.gather(takeover, return_exceptions=True)

    async def stop(self, grace_s: float) -> None:
        """Take nothing more; what is not executed by then is left to others."""
        self._stopping.set()
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=grace_s)
        for task in list(self._running.values()):
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    # -- reading --

    async def _read(self) -> None:
        while len(self._running) >= MAX_RUNNING:
            await asyncio.wait(list(self._running.values()), return_when=asyncio.FIRST_COMPLETED)
        try:
            async with reached(BLOCK_S + ANSWER_S):
                answer = await self._redis.xreadgroup(
                    GROUP,
                    self._owner,
                    {STREAM: ">"},
                    count=MAX_RUNNING - len(self._running),
                    block=round(BLOCK_S * 1000),
                )
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            await self._create_group()
            return
        for entry in _entries(answer):
            self._begin(entry)

    async def _create_group(self) -> None:
        async with reached():
            # From the first entry: the stream is there before the first worker.
            with suppress(ResponseError):  # BUSYGROUP: another worker was faster
                await self._redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)

    async def _take_over(self) -> None:
        """Find what workers that are gone have left, and those workers."""
        every_s = self._store.lease_s / 2
        while True:
            await asyncio.sleep(every_s)
            try:
                async with reached():
                    answer = await self._redis.xautoclaim(
                        STREAM, GROUP, self._owner, min_idle_time=round(self._store.lease_s * 1000), count=50
                    )
                    consumers = await self._redis.xinfo_consumers(STREAM, GROUP)
                    for each in consumers:
                        if each["pending"] == 0 and each["idle"] > _FORGET_MS:
                            await self._redis.xgroup_delconsumer(STREAM, GROUP, each["name"])
            except (DependencyUnavailable, ResponseError):
                continue  # the reader waits it out, or makes the group
            entries: Sequence[Entry] = answer[1]
            for entry in entries:
                if entry[0] not in self._running:
                    self._begin(entry, taken_over=True)

    def _begin(self, entry: Entry, *, taken_over: bool = False) -> None:
        if self._stopping.is_set():
            return  # another worker takes it after the lease
        entry_id, fields = entry
        task = asyncio.create_task(
            self._handle(entry_id, fields or {}, taken_over), name=f"tool {entry_id!r}"
        )
        self._running[entry_id] = task
        metrics.RUNNING.set(len(self._running))
        task.add_done_callback(lambda _: self._over(entry_id))

    def _over(self, entry_id: bytes) -> None:
        task = self._running.pop(entry_id)
        metrics.RUNNING.set(len(self._running))
        if not task.cancelled() and (error := task.exception()) is not None:
            # Not acknowledged: it comes again after the lease, here or elsewhere.
            _log.error("tool call not handled", entry=entry_id.decode(), error=repr(error))

    # -- one entry --

    async def _handle(self, entry_id: bytes, fields: dict[bytes, bytes], taken_over: bool) -> None:
        event = _parse(fields.get(b"e", b""))
        if event is None:
            metrics.UNREADABLE.inc()
            _log.warning("an entry of the tools' stream is no tool's event", entry=entry_id.decode())
        elif event.HasField("tool_cancelled"):
            await self._cancel(event.workflow_id, event.tool_cancelled.tool_call_id)
        elif not await self._call(event, entry_id, taken_over):
            return
        async with reached():
            await self._redis.xack(STREAM, GROUP, entry_id)
            await self._redis.xdel(STREAM, entry_id)

    async def _cancel(self, workflow_id: str, tool_call_id: str) -> None:
        await self._store.cancel(workflow_id, tool_call_id)
        task = self._by_call.get((workflow_id, tool_call_id))
        if task is not None:
            task.cancel()

    async def _call(self, event: CallEvent, entry_id: bytes, taken_over: bool) -> bool:
        """Whether the entry is dealt with; False: its executor is at it, or was just now."""
        workflow_id, called = event.workflow_id, event.tool_called
        # Of the entry: one written twice is two askers, even in one process.
        owner = f"{self._owner}:{entry_id.decode()}"
        claim = await self._store.claim(workflow_id, called.tool_call_id, owner)
        if claim.state in (ClaimState.DONE, ClaimState.CANCELLED):
            return True
        if claim.state is ClaimState.BUSY:
            return False
        if taken_over:
            metrics.TAKEN_OVER.inc()
            _log.warning("tool call taken over", workflow_id=workflow_id, tool_call=called.tool_call_id)
        response_json: str | None = claim.response_json
        if claim.state is ClaimState.OURS:
            age_s = max(claim.now_ms - int(entry_id.partition(b"-")[0]), 0) / 1000
            metrics.PICKUP_SECONDS.observe(age_s)
            response_json = await self._execute(event, owner, called.timeout_ms / 1000 - age_s)
        if response_json is not None:
            await self._deliver(event, response_json)
            with suppress(DependencyUnavailable):  # told twice, the node drops the second
                await self._store.done(workflow_id, called.tool_call_id)
        return True

    async def _execute(self, event: CallEvent, owner: str, left_s: float) -> str | None:
        """The response as JSON; None: nobody waits for it, or another executor has the call."""
        workflow_id, called = event.workflow_id, event.tool_called
        key = (workflow_id, called.tool_call_id)
        try:
            request = ToolRequest(
                workflow_id=workflow_id,
                tool_call_id=called.tool_call_id,
                name=called.name,
                arguments=arguments_of(called.arguments_json),
                idempotency_key=called.idempotency_key,
                timeout_s=left_s,
            )
        except ValueError as error:
            return json.dumps({"error": str(error)})
        if left_s <= 0:
            metrics.CALLS.labels("none", "expired").inc()
            return json.dumps({"error": "the function was not reached in time"})
        work = asyncio.create_task(self._whole(request))
        self._by_call[key] = work
        try:
            state = await self._until_done(work, *key, owner)
            if work.cancelled():
                state = ClaimState.CANCELLED  # by the event that says so, read here
            if state is not ClaimState.OURS:
                metrics.CALLS.labels("none", "cancelled" if state is ClaimState.CANCELLED else "lost").inc()
                return None
            response_json = work.result()
            ours = await self._store.executed(*key, owner, response_json)
            return response_json if ours else None
        except DependencyUnavailable:
            if work.done() and not work.cancelled() and work.exception() is None:
                return work.result()  # Redis went away after it; the caller waits all the same
            raise
        except asyncio.CancelledError:
            with suppress(DependencyUnavailable):
                await self._store.release(*key, owner)
            raise
        finally:
            del self._by_call[key]
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _whole(self, request: ToolRequest) -> str:
        text = json.dumps(await self._tools.execute(request))
        if len(text) > MAX_RESPONSE:
            return json.dumps({"error": f"the function's answer is longer than {MAX_RESPONSE} bytes"})
        return text

    async def _until_done(
        self, work: asyncio.Task[str], workflow_id: str, tool_call_id: str, owner: str
    ) -> ClaimState:
        """Keep the lease while it runs. Anything but OURS: `work` must be given up."""
        while True:
            done, _ = await asyncio.wait([work], timeout=self._store.lease_s / 6)
            if done:
                return ClaimState.OURS
            try:
                state = await self._store.renew(workflow_id, tool_call_id, owner)
            except DependencyUnavailable:
                continue  # while nobody can be told, going on is the best there is
            if state is not ClaimState.OURS:
                return state

    async def _deliver(self, event: CallEvent, response_json: str) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DELIVER_S
        tool_call_id = event.tool_called.tool_call_id
        while True:
            try:
                outcome = await self._nodes.answer_tool(
                    event.source, event.workflow_id, tool_call_id, response_json
                )
            except DependencyUnavailable as error:
                if loop.time() < deadline:
                    await asyncio.sleep(_RETRY_S)
                    continue
                outcome = "undeliverable"
                _log.warning("tool's answer not delivered", workflow_id=event.workflow_id, error=str(error))
            metrics.ANSWERS.labels(outcome).inc()
            return


def _entries(answer: Any) -> Sequence[Entry]:
    """One stream was asked for, so one answered, [[key, [(id, {field: value}), …]]], or nothing."""
    return answer[0][1] if answer else []


def _parse(data: bytes) -> CallEvent | None:
    try:
        event = CallEvent.FromString(data)
    except DecodeError:
        return None
    return event if event.WhichOneof("body") in ("tool_called", "tool_cancelled") else None
