"""One session as a machine without sockets: frames and the time in, actions out.

    session.on_frame(raw, now_ns)      # and on_ping, on_heard, on_said, on_closed
    session.advance(now_ns)            # when next_ns is due
    for action in session.take(): …    # after each of them

Everything that is random is drawn from the generator passed in, so a seed replays a session.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from uuid import UUID

import numpy as np
import numpy.typing as npt

from bench.sim.gemini import wire
from bench.sim.gemini.actions import Abort, Action, Close, PauseReading, Pong
from bench.sim.gemini.brain import FrontDesk, Scripted
from bench.sim.gemini.dialogue import Dialogue
from bench.sim.gemini.errors import Refused
from bench.sim.gemini.faults import CLOSES, Afflictions, Fault, Moment
from bench.sim.gemini.memory import Memory
from bench.sim.gemini.models import BAD_ARGUMENT
from bench.sim.gemini.outbox import Outbox
from bench.sim.gemini.resumption import Handles
from bench.sim.gemini.scenario import Scenario, draw_ns
from bench.sim.gemini.timers import Timers
from bench.sim.gemini.validate import Setup, check_key, read_setup, text_of

_MS: Final = 1_000_000
_S: Final = 1_000_000_000
_EARLY_LIMIT: Final = 1000  # frames kept that came before setupComplete


@dataclass(frozen=True, slots=True)
class Connection:
    """What the upgrade request said."""

    api_version: str
    vertex: bool
    key: str | None


class Session:
    """From the upgrade to the close."""

    def __init__(
        self,
        session_id: str,
        connection: Connection,
        scenario: Scenario,
        handles: Handles,
        faults: list[Fault],
        rng: random.Random,
        now_ns: int,
        *,
        listens: bool,
    ) -> None:
        """`listens`: speech mode. `faults`: those this session has to suffer."""
        self.id = session_id
        self.setup_body: dict[str, Any] | None = None
        self.memory = Memory()
        self._connection = connection
        self._scenario = scenario
        self._handles = handles
        self._rng = rng
        self._listens = listens
        self._timers = Timers()
        self._out = Outbox()
        self._afflictions = Afflictions()
        self._waiting: list[Fault] = []
        self._setup: Setup | None = None
        self._dialogue: Dialogue | None = None
        self._early: list[wire.ClientMessage] = []
        self._received = 0  # client messages
        self._realtime = False  # realtime input has come
        self._closed = False
        self._handles.opened(session_id)
        for fault in faults:
            self.arm(fault, now_ns)
        self.on_moment("open", now_ns)
        limits = scenario.limits
        if limits.go_away_lead_s:
            go_away_ns = now_ns + int((limits.connection_s - limits.go_away_lead_s) * _S)
            self._timers.at(go_away_ns, lambda at_ns: self._go_away(limits.go_away_lead_s, at_ns))
        else:
            self._timers.at(now_ns + int(limits.connection_s * _S), self._deadline)

    # ---- for the driver

    @property
    def next_ns(self) -> int | None:
        """When `advance` has something to do."""
        return self._timers.next_ns

    @property
    def state(self) -> str:
        """For the admin page."""
        if self._closed:
            return "closed"
        if self._dialogue is None:
            return "setup" if self._setup is not None else "open"
        return self._dialogue.state

    def take(self) -> list[Action]:
        """What is to be done, in order."""
        return self._out.take()

    def advance(self, now_ns: int) -> None:
        """Let time pass."""
        self._guarded(lambda: self._timers.advance(now_ns), now_ns)

    def on_frame(self, raw: bytes, now_ns: int) -> None:
        """A text or binary message from the client."""
        self.advance(now_ns)  # what was due before it comes first, however late the loop is
        self._guarded(lambda: self._receive(raw, now_ns), now_ns)

    def on_ping(self, payload: bytes, now_ns: int) -> None:
        """A ping from the client."""
        self.advance(now_ns)
        self._out.note(now_ns, "ping", "<")
        slow = self._afflictions.get("delayed_pongs")
        delay_ns = 0 if slow is None else int(slow.value("ms") * _MS)
        if delay_ns:
            self._timers.at(now_ns + delay_ns, lambda at_ns: self._pong(payload, at_ns))
        else:
            self._pong(payload, now_ns)

    def on_heard(self, job: int, words: str, ms: float, now_ns: int) -> None:
        """The answer to a Hear action."""
        self.advance(now_ns)
        if self._dialogue is not None and not self._closed:
            self._dialogue.heard(job, words, ms, now_ns)

    def on_said(self, generation: int, index: int, pcm24k: npt.NDArray[np.int16], now_ns: int) -> None:
        """The answer to a Say action."""
        self.advance(now_ns)
        if self._dialogue is not None and not self._closed:
            self._dialogue.said(generation, index, pcm24k, now_ns)

    def on_close_frame(self, code: int, reason: str, now_ns: int) -> None:
        """The client closes: the echo comes after a while."""
        self._out.note(now_ns, "close", "<", code=code, reason=reason)
        if not self._closed:
            self._end(now_ns)
            delay_ns = draw_ns(self._scenario.delays.close_echo, self._rng)
            self._timers.at(now_ns + delay_ns, lambda at_ns: self._send_close(code or 1000, "", at_ns))

    def on_closed(self, now_ns: int) -> None:
        """The socket is gone."""
        self._end(now_ns)
        self._timers.clear()
        self._out.note(now_ns, "closed")

    # ---- faults

    def arm(self, fault: Fault, now_ns: int) -> None:
        """Suffer this fault from now on. One for `open` counts its delay from now."""
        if fault.at == "open":
            self._timers.at(now_ns + int(fault.after_ms * _MS), partial(self._strike, fault))
        else:
            self._waiting.append(fault)

    def on_moment(self, moment: Moment, now_ns: int) -> None:
        """Something faults may wait for has happened."""
        due = [fault for fault in self._waiting if fault.at == moment]
        for fault in due:
            self._waiting.remove(fault)
            self._timers.at(now_ns + int(fault.after_ms * _MS), partial(self._strike, fault))

    def _strike(self, fault: Fault, now_ns: int) -> None:
        if self._closed:
            return
        self._out.note(now_ns, "fault", fault=fault.fault)
        match fault.fault:
            case "abort":
                self._end(now_ns)
                self._out.do(Abort())
            case "go_away":
                self._go_away(fault.value("time_left_s"), now_ns)
                self._out.muted = fault.is_silent
            case "slow_reads":
                self._out.do(PauseReading(int(fault.value("ms") * _MS)))
            case "phantom_interrupted":
                if self._dialogue is not None:
                    self._dialogue.phantom_interruption(now_ns)
            case "empty_frames":
                for index in range(int(fault.value("count"))):
                    due_ns = now_ns + int(index * fault.value("every_ms") * _MS)
                    self._timers.at(due_ns, lambda at_ns: self._out.send({}, at_ns))
            case "unknown_message":
                self._out.send({"futureMessage": {"text": "from a newer service"}}, now_ns)
            case "large_frame":
                parts = [wire.inline_audio(bytes(int(fault.value("bytes"))))]
                self._out.send({"serverContent": {"modelTurn": {"parts": parts}}}, now_ns)
            case kind if kind in CLOSES and kind != "close_during_resume":
                self._close(*fault.close(), now_ns)
            case _:
                self._afflictions.start(fault)

    # ---- lifecycle

    def _guarded(self, step: Any, now_ns: int) -> None:
        """Run a step; a refusal closes the session as the service does."""
        try:
            step()
        except Refused as refusal:
            self._close(refusal.code, refusal.reason, now_ns)

    def _end(self, now_ns: int) -> None:
        """Nothing but the close happens from now on; the conversation may be resumed elsewhere."""
        if not self._closed:
            self._handles.closed(self.id, now_ns)
        self._closed = True
        self._timers.clear()
        self._out.muted = True

    def _close(self, code: int, reason: str, now_ns: int) -> None:
        if not self._closed:
            self._end(now_ns)
            self._send_close(code, reason, now_ns)

    def _send_close(self, code: int, reason: str, now_ns: int) -> None:
        self._out.do(Close(code, reason))
        self._out.note(now_ns, "close", ">", code=code, reason=reason)

    def _pong(self, payload: bytes, now_ns: int) -> None:
        self._out.do(Pong(payload))
        self._out.note(now_ns, "pong", ">")

    def _deadline(self, now_ns: int) -> None:
        self._close(*CLOSES["deadline"], now_ns)

    def _go_away(self, time_left_s: float, now_ns: int) -> None:
        shown = f"{time_left_s:g}s" if time_left_s == int(time_left_s) else f"{time_left_s:.3f}s"
        self._out.send({"goAway": {"timeLeft": shown}}, now_ns)
        self._timers.at(
            now_ns + int(time_left_s * _S), lambda at_ns: self._close(1001, "The session has ended.", at_ns)
        )

    # ---- messages

    def _receive(self, raw: bytes, now_ns: int) -> None:
        if self._closed:
            return
        if self._setup is None:
            check_key(self._connection.key, self._scenario)
        message = wire.decode(raw)
        self._received += 1
        if message.kind == "setup":
            self._on_setup(message.body, now_ns)
        elif self._setup is None:
            raise Refused(1007, "setup must be the first message and only the first")
        elif self._dialogue is None:
            if len(self._early) < _EARLY_LIMIT:
                self._early.append(message)
            self._out.note(now_ns, "early", "<", message=message.kind, kept=len(self._early) < _EARLY_LIMIT)
        else:
            self._dispatch(message, now_ns)

    def _on_setup(self, body: dict[str, Any], now_ns: int) -> None:
        self._out.note(now_ns, "setup", "<", model=body.get("model"))
        if self._setup is not None:
            raise Refused(1007, "setup must be the first message and only the first")
        setup = read_setup(body, self._scenario, self._connection.api_version, vertex=self._connection.vertex)
        self._setup, self.setup_body = setup, body
        if setup.handle:
            if fault := self._afflictions.pop("close_during_resume"):
                raise Refused(*fault.close())
            ttl_s = self._scenario.limits.handle_ttl_s
            self.memory = self._handles.resume(setup.handle, setup.model, ttl_s, now_ns)
            if self._afflictions.pop("amnesia"):
                self.memory = Memory()
            self._out.note(now_ns, "resumed", turns=self.memory.turns)
        self.memory.model = setup.model
        if setup.instruction and not setup.handle:
            self.memory.add_text(setup.instruction)
        if setup.never_answered or self._afflictions.get("setup_hang"):
            return
        delay_ns = draw_ns(self._scenario.delays.setup, self._rng)
        if fault := self._afflictions.pop("setup_delay"):
            delay_ns = int(fault.value("ms") * _MS)
        self._timers.at(now_ns + delay_ns, self._complete_setup)

    def _complete_setup(self, now_ns: int) -> None:
        setup = self._setup
        assert setup is not None
        brain = (
            FrontDesk(self._scenario, setup.parameters)
            if self._listens
            else Scripted(self._scenario, setup.parameters)
        )
        self._dialogue = Dialogue(
            setup=setup,
            scenario=self._scenario,
            brain=brain,
            listens=self._listens,
            memory=self.memory,
            out=self._out,
            timers=self._timers,
            rng=self._rng,
            afflictions=self._afflictions,
            on_moment=self.on_moment,
            on_resumable=self._update_resumption,
        )
        complete = {"sessionId": str(UUID(int=self._rng.getrandbits(128)))} if self._connection.vertex else {}
        self._out.send({"setupComplete": complete}, now_ns)
        self.on_moment("setup_complete", now_ns)
        self._update_resumption(True, now_ns)
        early, self._early = self._early, []
        for message in early:
            self._dispatch(message, now_ns)

    def _update_resumption(self, resumable: bool, now_ns: int) -> None:
        assert self._setup is not None
        if not (self._setup.resumption or self._scenario.wire.unasked_handles):
            return
        update: dict[str, Any] = {"resumable": False}
        if resumable:
            update = {"newHandle": self._handles.issue(self.id, self.memory, self._rng), "resumable": True}
            if self._setup.transparent:
                update["lastConsumedClientMessageIndex"] = str(self._received)
        self._out.send({"sessionResumptionUpdate": update}, now_ns)

    def _dispatch(self, message: wire.ClientMessage, now_ns: int) -> None:
        assert self._dialogue is not None
        assert self._setup is not None
        body = message.body
        match message.kind:
            case "realtimeInput":
                self._realtime = True
                self._on_realtime_input(body, now_ns)
            case "clientContent":
                self._out.note(now_ns, "clientContent", "<", body=body)
                if self._realtime and not self._setup.content_any_time:
                    raise Refused(1007, BAD_ARGUMENT)
                self._dialogue.client_content(body, now_ns)
            case "toolResponse":
                self._out.note(now_ns, "toolResponse", "<", body=body)
                responses = body.get("functionResponses", [])
                if not self._setup.scheduling and any("scheduling" in each for each in responses):
                    raise Refused(1007, BAD_ARGUMENT)
                self._dialogue.tool_response(body, now_ns)
            case _:
                self._out.note(now_ns, "contextUpdate", "<", body=body)
                if self._scenario.context_update == "refuse":
                    raise Refused(
                        1007,
                        'Invalid JSON payload received. Unknown name "contextUpdate": Cannot find field.',
                    )
                self._dialogue.instruct(text_of([body.get("systemInstruction", {})]))

    def _on_realtime_input(self, body: dict[str, Any], now_ns: int) -> None:
        dialogue = self._dialogue
        assert dialogue is not None
        audio = body.get("audio") or next(
            iter(body.get("mediaChunks", [])), None
        )  # all but the first: ignored
        if audio is not None:
            path = "realtime_input.audio" if "audio" in body else "realtime_input.media_chunks[0]"
            blob = wire.read_blob(audio, path)
            if blob.mime_type.startswith("image/"):
                self._out.note(now_ns, "video", "<", bytes=len(blob.data))
                return
            rate = wire.pcm_rate(blob.mime_type)
            self._out.note(now_ns, "audio", "<", bytes=len(blob.data))
            dialogue.audio(blob.data, rate, now_ns)
            return
        if len(body) != 1:
            raise Refused(1007, "Request contains an invalid argument.")
        ((kind, value),) = body.items()
        if kind == "video":
            self._out.note(now_ns, kind, "<", bytes=len(wire.read_blob(value, "realtime_input.video").data))
            return
        self._out.note(now_ns, kind, "<", **({"text": value} if kind == "text" else {}))
        match kind:
            case "text":
                dialogue.realtime_text(value, now_ns)
            case "activityStart" | "activityEnd":
                dialogue.activity(now_ns, start=kind == "activityStart")
            case "audioStreamEnd" if value:
                dialogue.audio_stream_end(now_ns)
            case _:
                pass  # audioStreamEnd: false, and an empty mediaChunks, say nothing
