"""A call in virtual time: the product's session between a telephone and the simulator's session, every
message of which is the one that goes over the wire.

Frames of 20 ms, the telephone's and the model's delays, goodbyes and new sessions take the time they take;
only nobody waits for it. A model falls silent when a fault is armed; what it is worth is known here.
"""

from __future__ import annotations

import json
import random
from base64 import b64decode, b64encode
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from picows import WSMsgType

from bench.gemini.barge_in_world import MS, RATE, SID, World
from bench.sim.gemini.actions import Close, Note, Say, Send
from bench.sim.gemini.faults import Fault
from bench.sim.gemini.mouths import sound
from bench.sim.gemini.resumption import Handles
from bench.sim.gemini.scenario import Scenario
from bench.sim.gemini.session import Connection, Session
from media_plane.call.continuity import RenewalCounts, RenewalLimits
from media_plane.call.stall import StallBook
from media_plane.call.tools import Tool
from media_plane.dsp.codec import KernelCodecs
from media_plane.dsp.g711 import compress
from media_plane.errors import ModelFailure
from media_plane.io.model_leg import ModelUser
from media_plane.io.reopening import next_setup
from media_plane.renewing import NextUser, Order, Renewing
from media_plane.session import CallConfig, CallSession
from media_plane.stall_plan import StallPlan
from media_plane.wire.events import CallEvent, ModelStalled, ToolCalled
from media_plane.wire.gemini_notes import Telling

MODEL = "gemini-3.8-live"
CODECS = KernelCodecs()
_WAY_NS = 20 * MS  # one way, on either side
_CONNECT_NS = 50 * MS
_TICK_NS = 100 * MS
_FRAME_NS = 20 * MS
_LOUD = compress(np.round(8000 * np.sin(2 * np.pi * 300 * np.arange(160) / RATE)).astype(np.int16)).tobytes()
_PAYLOADS = {True: b64encode(_LOUD).decode(), False: b64encode(b"\xff" * 160).decode()}
TOOL = {"name": "look_up", "description": "Looks it up.", "behavior": "BLOCKING"}


class Telephone:
    """Twilio's socket. `end_ns`: when the caller will have heard everything that was sent."""

    def __init__(self, call: Call) -> None:
        self.congested = False
        self.end_ns = 0
        self.began: list[int] = []  # each time the agent became audible
        self._call = call

    def send(self, kind: WSMsgType, buffer: bytearray, offset: int) -> None:
        self.send_text(bytes(buffer[offset:]))
        buffer[offset:] = bytes(len(buffer) - offset)

    def send_text(self, message: bytes) -> None:
        said, world = json.loads(message), self._call.world
        there_ns = world.now_ns + _WAY_NS
        if said["event"] == "media":
            if self.end_ns <= there_ns:
                self.end_ns = there_ns
                self.began.append(there_ns)
            self.end_ns += len(b64decode(said["media"]["payload"])) * 125_000
        elif said["event"] == "clear":
            self.end_ns = min(self.end_ns, there_ns)
        else:
            back = json.dumps({"event": "mark", "streamSid": SID, "mark": said["mark"]}).encode()
            world.at(max(self.end_ns, there_ns) + _WAY_NS, lambda: self._call.from_caller(back))

    def close(self, code: int, reason: str) -> None:
        pass


class Model:
    """One session of the simulator's, and the socket to it."""

    def __init__(self, call: Call, setup: bytes, user: ModelUser, faults: list[Fault]) -> None:
        self.congested = False
        self.notes: list[Note] = []
        self._call = call
        self._user = user
        self._alive = True
        self._ready = False
        self._due_ns = 1 << 62
        self._opened_ns = call.world.now_ns
        self.session = Session(
            f"g{len(call.models)}",
            Connection("v1beta", False, "a-key"),
            call.scenario,
            call.handles,
            faults,
            random.Random(call.rng.random()),
            call.world.now_ns,
            listens=False,
        )
        self._step(lambda: self.session.on_frame(setup, call.world.now_ns))

    def send(self, kind: WSMsgType, buffer: bytearray, offset: int) -> None:
        self.send_text(bytes(buffer[offset:]))
        buffer[offset:] = bytes(len(buffer) - offset)

    def send_text(self, message: bytes) -> None:
        self._later(partial(self._arrive, message))

    def close(self, code: int, reason: str) -> None:
        if self._alive:
            self._alive = False
            self._step(lambda: self.session.on_close_frame(int(code), reason, self._call.world.now_ns))

    def arm(self, **fault: Any) -> None:
        self._step(
            lambda: self.session.arm(
                Fault.model_validate({"session": "all", **fault}), self._call.world.now_ns
            )
        )

    def _arrive(self, message: bytes) -> None:
        if self._alive:
            self._step(lambda: self.session.on_frame(message, self._call.world.now_ns))

    def _step(self, do: Callable[[], None]) -> None:
        do()
        world = self._call.world
        while actions := self.session.take():
            for action in actions:
                if isinstance(action, Send):
                    self.notes.append(action.note)
                    self._later(partial(self._deliver, json.dumps(action.frame, indent=2).encode()))
                elif isinstance(action, Note):
                    if action.kind != "audio":  # fifty a second, of no interest
                        self.notes.append(action)
                elif isinstance(action, Say) and action.voice is not None:
                    pcm = sound(action.text, action.voice)
                    self.session.on_said(action.generation, action.index, pcm, world.now_ns)
                elif isinstance(action, Close) and self._alive:
                    self._alive = False
                    failure = ModelFailure(action.code, action.reason, retryable=action.code != 1007)
                    self._later(partial(self._gone, failure))
        due_ns = self.session.next_ns
        if due_ns is not None and due_ns < self._due_ns:
            self._due_ns = due_ns
            world.at(due_ns, lambda: self._advance(due_ns))

    def _later(self, do: Callable[[], None]) -> None:
        """When it has come to the other side."""
        self._call.world.at(self._call.world.now_ns + _WAY_NS, do)

    def _advance(self, due_ns: int) -> None:
        if due_ns == self._due_ns:
            self._due_ns = 1 << 62
            self._step(lambda: self.session.advance(self._call.world.now_ns))

    def _deliver(self, data: bytes) -> None:
        now_ns = self._call.world.now_ns
        if not self._alive or self._call.over:
            return
        if self._ready:
            self._user.model_frame(data, now_ns)
        elif b'"setupComplete"' in data:
            self._ready = True
            self._user.model_ready(self, 50, (now_ns - self._opened_ns) // MS, now_ns)

    def _gone(self, failure: ModelFailure) -> None:
        if not self._call.over:
            self._user.model_closed(failure, self._call.world.now_ns)


class Call:
    """`stalled`: what the session told of stalls, and when. `next_faults`: of the next session to be
    opened."""

    def __init__(self, seed: int, scenario: Scenario, book: StallBook, *, tools: bool) -> None:
        self.rng = random.Random(seed)
        self.world = World()
        self.scenario = scenario
        self.handles = Handles()
        self.models: list[Model] = []
        self.next_faults: list[Fault] = []
        self.stalled: list[tuple[int, ModelStalled]] = []
        self.answered_ns = 0  # when a function last was
        self._loud_until_ns = 0
        self._frames = 0
        self._setup = json.dumps({"setup": _setup(tools=tools)}).encode()
        self.telephone = Telephone(self)
        plan = StallPlan(book=book)
        self.session = CallSession(
            CallConfig(
                f"call-{seed}",
                "",
                MODEL,
                1 << 62,
                tools=(Tool("look_up", blocking=True),) if tools else (),
                telling=Telling.CLIENT_CONTENT,
                stalls=plan.of(MODEL, None),
            ),
            CODECS,
            clock=lambda: self.world.now_ns,
            emit=self._told,
            ended=lambda session: None,
            renewing=Renewing(self._reopen, RenewalCounts(), RenewalLimits()),
        )
        self.models.append(Model(self, self._setup, self.session, []))
        self.session.attach_caller(self.telephone)
        form = {"encoding": "audio/x-mulaw", "sampleRate": RATE, "channels": 1}
        start = {"event": "start", "streamSid": SID, "start": {"callSid": "CA1", "mediaFormat": form}}
        self.from_caller(json.dumps(start).encode())
        self._tick()
        self._frame()
        self.wait(600)

    @property
    def over(self) -> bool:
        return self.session.end_reason is not None

    @property
    def model(self) -> Model:
        return self.models[-1]

    def wait(self, ms: float) -> None:
        self.world.run(self.world.now_ns + int(ms * MS))

    def speak(self, ms: float) -> int:
        """The caller does; returns when he has finished."""
        self._loud_until_ns = self.world.now_ns + int(ms * MS)
        self.wait(ms)
        return self.world.now_ns

    def from_caller(self, message: bytes) -> None:
        if not self.over:
            self.session.caller_frame(message, self.world.now_ns)

    def first(self, kind: str, since_ns: int, **fields: object) -> int | None:
        """When the model's side first noted this, after a moment."""
        notes = (note for model in self.models for note in model.notes if note.kind == kind)
        found = (
            note.t_ns for note in notes if note.t_ns > since_ns and fields.items() <= note.fields.items()
        )
        return next(found, None)

    def _frame(self) -> None:
        if self.over:
            return
        self._frames += 1
        now_ns, number = self.world.now_ns, self._frames
        payload = _PAYLOADS[now_ns < self._loud_until_ns]
        message = (
            f'{{"event":"media","sequenceNumber":"{number + 2}","streamSid":"{SID}","media":'
            f'{{"track":"inbound","chunk":"{number}","timestamp":"{20 * number}","payload":"{payload}"}}}}'
        )
        self.from_caller(message.encode())
        self.world.at(now_ns + _FRAME_NS, self._frame)

    def _tick(self) -> None:
        if not self.over:
            self.session.tick(self.world.now_ns)
            self.world.at(self.world.now_ns + _TICK_NS, self._tick)

    def _told(self, event: CallEvent) -> None:
        body = event.body
        if isinstance(body, ModelStalled):
            self.stalled.append((event.at_ns, body))
        elif isinstance(body, ToolCalled):
            took_ns = int(self.rng.uniform(200, 1500) * MS)
            self.world.at(self.world.now_ns + took_ns, lambda: self._answer(body.tool_call_id))

    def _answer(self, tool_call_id: str) -> None:
        if not self.over:
            self.session.answer_tool(tool_call_id, {"output": "room twelve"}, self.world.now_ns)
            self.answered_ns = self.world.now_ns

    def _reopen(self, order: Order, user: NextUser) -> Callable[[], object]:
        stopped: list[bool] = []

        def open_next() -> None:
            if not stopped:
                setup = next_setup(self._setup, handle=order.handle, history=order.history)
                faults, self.next_faults = self.next_faults, []
                self.models.append(Model(self, setup, user, faults))

        close_ns = 220 * MS if order.after is not None else 0  # the service answers our close
        self.world.at(self.world.now_ns + order.delay_ns + close_ns + _CONNECT_NS, open_next)
        return lambda: stopped.append(True)


def _setup(*, tools: bool) -> dict[str, Any]:
    setup: dict[str, Any] = {
        "model": f"models/{MODEL}",
        "inputAudioTranscription": {},
        "outputAudioTranscription": {},
        "sessionResumption": {},
    }
    return setup | ({"tools": [{"functionDeclarations": [TOOL]}]} if tools else {})
