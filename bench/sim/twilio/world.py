"""What all calls share: settings, personas, faults, the HTTP client, and the calls themselves."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine
from typing import Any

import structlog

from bench.sim.twilio.call import Call
from bench.sim.twilio.config import Config
from bench.sim.twilio.cps import CallsPerSecond, QueueFull
from bench.sim.twilio.dialing import run_dialled, run_inbound, run_outbound
from bench.sim.twilio.errors import ApiError
from bench.sim.twilio.faults import Faults
from bench.sim.twilio.persona import Persona
from bench.sim.twilio.request import CallRequest, Hook
from bench.sim.twilio.resource import CallResource, Direction, new_sid
from bench.sim.twilio.rooms import Rooms
from bench.sim.twilio.status import StatusSequence
from bench.sim.twilio.voice import Voice
from bench.sim.twilio.webhooks import Webhooks

KEPT_CALLS = 2000  # that are over; the oldest are forgotten first
DRAIN_S = 3.0

log = structlog.get_logger()


class World:
    """Made inside the running loop; `close` ends every call."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.random = random.Random(config.seed)
        self.faults = Faults(config.seed)
        self.voice = Voice(speech=config.speech)
        self.webhooks = Webhooks(config.auth_token, self.faults)
        self.calls: dict[str, Call] = {}  # by CallSid, oldest first
        self.personas: dict[str, Persona] = {}  # by number
        self.recordings: dict[str, tuple[str, str]] = {}  # by RecordingSid: (CallSid, mono or dual)
        self.base_url = ""  # of the REST API, once it is bound
        self.rooms = Rooms()
        self._cps = CallsPerSecond(config.cps)
        self._tasks: set[asyncio.Task[None]] = set()

    def persona(self, number: str) -> Persona:
        """Who answers this number."""
        return self.personas.get(number, self.config.persona)

    def create(self, request: CallRequest) -> Call:
        """A call asked for over REST; it is queued by calls per second. Raises `ApiError` 22005."""
        now_ns = time.monotonic_ns()
        try:
            start_ns = self._cps.reserve(now_ns)
        except QueueFull:
            raise ApiError(22005) from None
        call = self._new(request.to, request.from_, "outbound-api", request.status, request.status_events)
        call.resource.queue_ms = (start_ns - now_ns) // 1_000_000
        self.spawn(run_outbound(call, request, start_ns))
        return call

    def dial(
        self,
        parent: Call,
        number: str,
        caller_id: str,
        timeout_s: int,
        status: Hook | None = None,
        events: tuple[str, ...] = (),
    ) -> Call:
        """A leg for `<Dial>`, exempt from the queue."""
        call = self._new(number, caller_id, "outbound-dial", status or Hook(), events, parent.sid)
        self.spawn(run_dialled(call, parent, timeout_s))
        return call

    def receive(self, from_: str, to: str, persona: Persona | None) -> Call:
        """An inbound call. The configuration must have a voice URL."""
        assert self.config.voice_url, "an inbound call needs a voice URL"
        call = self._new(to, from_, "inbound", Hook(), ())
        call.persona = persona or self.persona(from_)
        self.spawn(run_inbound(call, Hook(self.config.voice_url)))
        return call

    def _new(
        self,
        to: str,
        from_: str,
        direction: Direction,
        status_hook: Hook,
        events: tuple[Any, ...],
        parent: str | None = None,
    ) -> Call:
        resource = CallResource(
            new_sid("CA"), self.config.account_sid, to, from_, direction, StatusSequence(events), parent
        )
        call = Call(self, resource, self.persona(to), status_hook)
        self.calls[call.sid] = call
        over = [sid for sid, other in self.calls.items() if other.ended.is_set()]
        for sid in over[: max(0, len(over) - KEPT_CALLS)]:
            self.forget(sid)
        log.info("call_created", call_sid=call.sid, to=to, direction=direction)
        return call

    def forget(self, sid: str) -> None:
        """Drop a call that is over, and its recordings."""
        del self.calls[sid]
        self.recordings = {re: of for re, of in self.recordings.items() if of[0] != sid}

    def live(self) -> list[Call]:
        return [call for call in self.calls.values() if not call.ended.is_set()]

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a task to its end; what it raises is a bug, and is logged as one."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task_failed", exc_info=error)

    async def close(self) -> None:
        """Hang up every call, let the last callbacks go out, then stop."""
        for call in self.live():
            call.hang_up("completed" if call.answered.is_set() else "canceled")
        deadline = time.monotonic() + DRAIN_S
        while self._tasks and time.monotonic() < deadline:
            await asyncio.wait(self._tasks, timeout=deadline - time.monotonic())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.webhooks.close()
        await self.voice.close()
