"""One call leg: its resource, status callbacks, audio clock and end. What it does is decided by `dialing` and
`program`; this is what they do it with.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from bench.sim.twilio.callee import Act, Began, Gone, Key
from bench.sim.twilio.line import Line
from bench.sim.twilio.persona import Persona
from bench.sim.twilio.recording import Timeline
from bench.sim.twilio.request import Hook
from bench.sim.twilio.resource import CallResource, rfc2822
from bench.sim.twilio.status import FINAL, Status
from bench.sim.twilio.stream import EARLY_NS, MediaStream
from bench.sim.twilio.webhooks import WebhookFailed

if TYPE_CHECKING:
    from bench.sim.twilio.program import Program
    from bench.sim.twilio.world import World

log = structlog.get_logger()


class Call:
    """`over` is resolved with the final status as soon as the call is to end, whoever ends it."""

    def __init__(self, world: World, resource: CallResource, persona: Persona, status_hook: Hook) -> None:
        self.world = world
        self.resource = resource
        self.persona = persona
        self.timeline = Timeline()
        self.webhooks: list[dict[str, Any]] = []
        self.verbs: list[dict[str, Any]] = []
        self.notifications: list[dict[str, Any]] = []
        self.streams: list[MediaStream] = []
        self.line: Line | None = None
        self.peer: Call | None = None  # the other leg of a bridge
        self.gathering: asyncio.Queue[str] | None = None  # takes the keys that are pressed
        self.program: Program | None = None
        self.over: asyncio.Future[Status] = asyncio.get_running_loop().create_future()
        self.answered = asyncio.Event()
        self.ended = asyncio.Event()  # the final status is set and the recording is closed
        self.samples = 0  # length of the recording
        self._status_hook = status_hook
        self._extra: dict[str, str] = {}  # AnsweredBy, once known
        self._timer: asyncio.TimerHandle | None = None

    @property
    def sid(self) -> str:
        return self.resource.sid

    @property
    def stream(self) -> MediaStream | None:
        """The stream that is open now."""
        return self.streams[-1] if self.streams and self.streams[-1].open_now else None

    def note(self, kind: str, **fields: Any) -> None:
        """An event of the timeline, now."""
        self.timeline.add(time.monotonic_ns(), kind, **fields)

    def warn(self, code: int, message: str) -> None:
        """What Twilio's debugger would show."""
        self.notifications.append({"t_ns": time.monotonic_ns(), "code": code, "message": message})
        log.warning("twilio_notification", call_sid=self.sid, code=code, message=message)

    def hang_up(self, status: Status) -> None:
        """End the call; the first cause counts."""
        if not self.over.done():
            self.over.set_result(status)

    async def pause(self, seconds: float) -> bool:
        """Wait, unless the call is over first. Returns whether it goes on."""
        await asyncio.wait([self.over], timeout=max(0.0, seconds))
        return not self.over.done()

    def advance(self, status: Status) -> None:
        """Change the status and send the callback it brings."""
        resource = self.resource
        resource.updated = datetime.now(UTC)
        fields = resource.sequence.advance(status)
        if fields is None or not self._status_hook.url:
            return
        params = resource.webhook_fields() | fields | self._extra
        params["Timestamp"] = rfc2822(resource.updated) or ""
        if status in FINAL:
            params["CallDuration"] = str(resource.duration_s)
            params["Duration"] = str(math.ceil(resource.duration_s / 60))
        event = {"in-progress": "answered"}.get(status, "completed" if status in FINAL else status)
        faults = self.world.faults
        if faults.strike("status_drop", self.sid, event=event):
            return
        late = faults.strike("status_reorder", self.sid, event=event)
        delay_s = late["delay_ms"] / 1000 if late else 0.0
        times = 2 if faults.strike("status_duplicate", self.sid, event=event) else 1
        for _ in range(times):
            self.spawn(self.callback("status", self._status_hook, params, delay_s))

    async def callback(self, purpose: str, hook: Hook, params: dict[str, str], delay_s: float = 0.0) -> None:
        """A webhook whose answer doesn't matter; Twilio doesn't repeat it."""
        if delay_s:
            await asyncio.sleep(delay_s)
        try:
            await self.world.webhooks.send(self.webhooks, purpose, hook.url, hook.method, params)
        except WebhookFailed as error:
            self.warn(error.code, f"{purpose} callback: {error}")

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run it beside the call; the simulator waits for it at its end."""
        self.world.spawn(coroutine)

    def answered_by(self, who: str, after_ms: int) -> dict[str, str]:
        """Answering-machine detection has concluded. Returns the webhook fields that say so."""
        self.resource.answered_by = who
        self._extra = {"AnsweredBy": who, "MachineDetectionDuration": str(after_ms)}
        return self._extra

    def answer(self, acts: list[Act]) -> None:
        """The callee picks up: sample 0 is now."""
        now_ns = time.monotonic_ns()
        self.resource.answered = datetime.now(UTC)
        self.timeline.answered_ns = now_ns
        self.timeline.add(now_ns, "answered")
        self.line = Line(now_ns, acts, self.timeline, free=self.persona.machine)
        self.answered.set()
        self.advance("in-progress")
        self._schedule()

    def _schedule(self) -> None:
        assert self.line is not None  # ticks begin at the answer
        wait_ns = self.line.next_tick_ns() - time.monotonic_ns()
        # Timers count whole milliseconds; nearest keeps a frame within half of one, but for the load.
        wait_s = round(wait_ns / 1e6) / 1000
        self._timer = asyncio.get_running_loop().call_later(max(0.0, wait_s), self._tick)

    def _tick(self) -> None:
        line = self.line
        assert line is not None
        while line.next_tick_ns() <= time.monotonic_ns() + EARLY_NS and not self.over.done():
            stream, peer = self.stream, self.peer
            line.connected = stream is not None or peer is not None or self.gathering is not None
            tick = line.tick()
            if stream is not None:
                stream.send_frame(tick.ulaw, tick.ends_ns)
            if peer is not None and peer.line is not None:
                peer.line.hear(time.monotonic_ns(), tick.ulaw)
            for deed in tick.deeds:
                match deed:
                    case Key(digit):
                        self.timeline.add(tick.ends_ns, "dtmf", digit=digit)
                        if stream is not None:
                            stream.send_key(digit)
                        if self.gathering is not None:
                            self.gathering.put_nowait(digit)
                    case Gone():
                        self.timeline.add(tick.ends_ns, "hangup", by="callee")
                        self.hang_up("completed")
                    case Began(step, timed_out):
                        self.timeline.add(tick.ends_ns, "script", step=step, timed_out=timed_out)
        if not self.over.done():
            self._schedule()

    async def close(self, status: Status) -> None:
        """The end: stop the program and its stream, close the recording, set the final status.

        A call that was answered can only be completed, one that wasn't can't.
        """
        if self.answered.is_set() or status == "completed":
            status = "completed" if self.answered.is_set() else "canceled"
        self.hang_up(status)
        if self._timer is not None:
            self._timer.cancel()
        if self.program is not None:
            await self.program.cancel()
        self.resource.ended = datetime.now(UTC)
        if self.line is not None:
            self.samples = self.line.end(time.monotonic_ns())
        self.advance(status)
        self.note("ended", status=status)
        if self.world.config.recordings is not None:
            await asyncio.to_thread(self._save)
        self.ended.set()
        log.info("call_ended", call_sid=self.sid, status=status, seconds=self.resource.duration_s)

    def wav(self) -> bytes:
        """The recording so far."""
        if self.line is None:
            return b""
        samples = self.samples if self.ended.is_set() else self.line.playout.sample_at(time.monotonic_ns())
        return self.line.recording.wav(samples)

    def _save(self) -> None:
        folder = self.world.config.recordings
        assert folder is not None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.sid}.json").write_text(json.dumps(self.timeline.events(), indent=1))
        if self.line is not None:
            (folder / f"{self.sid}.wav").write_bytes(self.line.recording.wav(self.samples))

    def shown(self) -> dict[str, Any]:
        """State for the admin port."""
        resource = self.resource
        return {
            "sid": self.sid,
            "to": resource.to,
            "from": resource.from_,
            "direction": resource.direction,
            "parent_call_sid": resource.parent_call_sid,
            "status": resource.sequence.status,
            "answered_by": resource.answered_by,
            "duration_s": resource.duration_s,
            "ended": self.ended.is_set(),
            "persona": dict(self.persona.source),
            "verbs": self.verbs,
            "webhooks": self.webhooks,
            "notifications": self.notifications,
            "stream": self.streams[-1].shown() if self.streams else None,
            "streams": [stream.shown() for stream in self.streams],
        }
