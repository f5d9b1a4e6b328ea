"""CallSession: the conductor of one call. It never awaits and never sees a socket.

A frame is a function call: Twilio's frame callback → `caller_audio` → kernel → the model's socket, in one
stack; `model_frame` the other way (the last part of which is `agent_audio`). Nothing waits in a queue between
the sockets. What is not an audio frame of the common shape takes the slow road: `wire` parses it, `call`
decides, this file acts.

Frames are stamped with `now_ns` where they are read; `clock` is read once more after the write, for the time
spent in between. A session is used from one thread, by one caller at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import structlog

from media_plane.activity_gate import ActivityGate
from media_plane.agent_audio import AgentAudio, nobody
from media_plane.call.closing import CLOSES
from media_plane.call.continuity import Renewal
from media_plane.call.conversation import Conversation
from media_plane.call.greeting import Greeting, GreetingMode, Move
from media_plane.call.hold import HoldCounts, HoldKnobs
from media_plane.call.lifecycle import Event, State, advance
from media_plane.call.playout import Playout
from media_plane.call.sent_audio import SentAudio
from media_plane.call.tally import Tally
from media_plane.call.tools import Outcome, Tool
from media_plane.caller_audio import CallerAudio, slices
from media_plane.dsp.codec import SHAPED, Codecs
from media_plane.early_hold import EarlyHold
from media_plane.errors import CloseCode, ModelFailure, PeerError
from media_plane.leg import Leg
from media_plane.line_desk import LineDesk
from media_plane.renewals import Renewals
from media_plane.renewing import Renewing, Talk
from media_plane.stall_desk import StallDesk, Stalls
from media_plane.tool_desk import ToolDesk
from media_plane.wire import events, gemini, twilio
from media_plane.wire.events import Body, EndReason
from media_plane.wire.gemini_notes import Telling, heard_note
from media_plane.wire.gemini_texts import OutsideTexts, TextRefused

log = structlog.get_logger(__name__)

_TAKE_BACK_S = 45  # of agent audio that was sent and not played: more than most answers are ahead of it
_NS_PER_SAMPLE = 125_000  # 8 kHz
_MAX_PEER_ERRORS = 50  # 1 s of bad frames: a peer that does not speak this protocol


@dataclass(frozen=True, slots=True)
class CallConfig:
    workflow_id: str
    greeting: str
    model: str
    expires_at_ns: int  # give up if no stream has started by then
    tools: tuple[Tool, ...] = ()
    telling: Telling = Telling.NEVER  # the model, what the caller did not hear of an answer cut off
    greeting_mode: GreetingMode = GreetingMode.IMMEDIATE
    hello_silence_ns: int = 1_200_000_000  # after_hello: the agent speaks first when nobody else does
    stalls: Stalls | None = None  # what is done about a model that is silent; None: nothing
    hold: HoldKnobs | None = None  # the agent, before the model has said that it is interrupted
    tell_keys: bool = True  # the model, which keys the caller presses


class CallSession:
    """See the module. `emit` is given every event in order; `ended` is called once, after the last one.
    `gate` stands before the model's socket, if the node finds the caller's turns; `holds` counts. `renewing`:
    how another session of the model's is had when this one ends; None: then the call ends."""

    # With more than thirty attributes CPython would look them up in a dictionary, many times a frame.
    __slots__ = (
        *("_agent", "_caller", "_clock", "_conversation", "_emit_event", "_ended", "_greeting", "_log"),
        *("_model", "_play", "_playout", "_prewarmed", "_setup_ms", "_stalls", "_turns", "_up", "_voice"),
        *("caller_frame", "config", "desk", "end_reason"),
        *("gate", "hold", "line", "next_seq", "renewals", "start_ns", "state", "stream_sid"),
        *("summary", "tally", "texts"),
    )

    def __init__(
        self,
        config: CallConfig,
        codecs: Codecs,
        *,
        clock: Callable[[], int],
        emit: Callable[[events.CallEvent], None],
        ended: Callable[[CallSession], None],
        first_seq: int = 1,
        gate: ActivityGate | None = None,
        holds: HoldCounts | None = None,
        renewing: Renewing | None = None,
    ) -> None:
        self.gate = gate
        self.config = config
        self.state = State.PREPARING
        self.stream_sid = ""
        self.start_ns = 0  # Twilio's `start`; 0: not yet
        self.next_seq = first_seq
        self.tally = Tally()
        self.end_reason: EndReason | None = None
        self.summary: events.MediaSummary | None = None  # set at the end

        self._clock = clock
        self._emit_event = emit
        self._ended = ended
        self._log = log.bind(workflow_id=config.workflow_id)
        self._model: Leg | None = None
        self._caller: Leg | None = None
        self._up = codecs.uplink(gemini.audio_head(codecs.uplink_rate))
        self._playout = Playout()
        self._conversation = Conversation(self._playout, self._up.speech)
        self._turns = self._conversation.turns
        mode = config.greeting_mode if config.greeting else GreetingMode.NONE
        self._greeting = Greeting(mode, config.hello_silence_ns, self._up.speech)
        self._agent = AgentAudio(
            codecs.downlink(),
            self._playout,
            self._conversation,
            self.tally,
            clock=clock,
            emit=self._emit_all,
            drop=self._drop_down,
        )
        self.line = LineDesk(config.model if config.tell_keys else "")
        self.texts = OutsideTexts(config.model)
        self._stalls = self._stall_desk(config.stalls) if config.stalls is not None else None
        responded = self._stalls.tool_answered if self._stalls is not None else nobody
        self.desk = ToolDesk(config.workflow_id, config.tools, self._emit, responded)
        self._setup_ms = 0
        self._prewarmed = False
        self.hold: EarlyHold | None = None
        if config.hold is not None:
            self._agent.kept = SentAudio(_TAKE_BACK_S * 8000)
            counts = holds if holds is not None else HoldCounts()
            self.hold = EarlyHold(config.hold, self._up.speech, counts, self._agent, self._playout)
        self.renewals = self._make_renewals(codecs, renewing)
        self._voice = CallerAudio(
            self._up,
            self._greeting,
            self.tally,
            clock=clock,
            other=self._other_message,
            drop=self._drop_up,
            watch=self.hold.watch if self.hold is not None else None,
        )
        # Looked up once here, used in every frame.
        self.caller_frame = self._voice.frame
        self._play = self._agent.play if self.hold is None else self._agent.play_kept

    def _stall_desk(self, stalls: Stalls) -> StallDesk:
        return StallDesk(
            self.config.workflow_id,
            stalls,
            greeting=self.config.greeting if self._greeting.asked else "",
            conversation=self._conversation,
            playout=self._playout,
            agent=self._agent,
            emit=self._emit,
            renew=self.renew,
            end=self._give_up,
        )

    def _make_renewals(self, codecs: Codecs, renewing: Renewing | None) -> Renewals:
        talk = Talk(
            up=self._up,
            codecs=codecs,
            conversation=self._conversation,
            playout=self._playout,
            agent=self._agent,
            desk=self.desk,
            greeting=self._greeting,
            greet=self.config.greeting,
        )
        return Renewals(
            self.config.workflow_id,
            self.config.model,
            renewing,
            talk,
            connect=self._connect,
            frame=self.model_frame,
            closed=self.model_closed,
            failed=self._model_failed,
            emit=self._emit,
        )

    # -- caller → model --

    def _other_message(self, data: bytes, now_ns: int) -> None:
        self._on_caller(twilio.parse(data), now_ns)

    def _on_caller(self, message: twilio.Message, now_ns: int) -> None:
        """Whatever Twilio says beside ordinary audio."""
        if isinstance(message, twilio.Start):
            self._start(message, now_ns)
        elif isinstance(message, twilio.Connected | twilio.Unknown):
            pass
        elif not self.start_ns or message.stream_sid != self.stream_sid:
            self._tolerate("caller", PeerError("message for a stream that has not started"))
        elif isinstance(message, twilio.Media):
            self._on_media(message, now_ns)
        elif isinstance(message, twilio.Mark):
            self.tally.marks_returned += self._playout.returned(message.name, now_ns)
        elif isinstance(message, twilio.Dtmf):
            self._emit(events.DtmfReceived(message.digit), now_ns)
            self.line.pressed(message.digit, now_ns)
        elif not self._leaves(now_ns):
            self.end(EndReason.STOP, "", now_ns)

    def _on_media(self, message: twilio.Media, now_ns: int) -> None:
        try:
            self._voice.media(message.payload, now_ns)
        except PeerError:
            self._tolerate("caller", PeerError("media.payload is not base64"))

    # -- model → caller --

    def model_frame(self, data: bytes, now_ns: int) -> None:
        """A whole message of the model's, read at `now_ns`.

        Raises:
            PeerError: the model's socket must be closed.
        """
        play = self._play
        if now_ns >= self._turns.stale_until_ns and play(data, SHAPED, 0, now_ns):
            return
        try:
            message = gemini.parse(data)
            shape = gemini.audio_shape(data, message)
            if shape is not None:
                self._agent.expect(*shape)
            self._on_model(message, now_ns)
        except PeerError as error:
            self._tolerate("model", error)

    def _on_model(self, message: gemini.ServerMessage, now_ns: int) -> None:
        """Everything one frame says, in the order in which it makes sense."""
        conversation = self._conversation
        if message.interrupted:
            self._interrupt(now_ns)
        for part in message.audio:
            audio = gemini.standard_base64(part)
            for start, end in slices(len(audio), self._agent.longest):
                if now_ns < self._turns.stale_until_ns:
                    self.tally.dropped_down += 1
                    if self._stalls is not None:
                        self._stalls.crossed()
                elif not self._play(audio, start, end, now_ns):
                    raise PeerError("inlineData.data is not base64")
        if message.input_text:
            self._emit_all(conversation.caller_text(message.input_text, now_ns), now_ns)
            if self._stalls is not None:
                self._stalls.caller_text(now_ns)
        if message.output_text:
            self._emit_all(conversation.agent_text(message.output_text, now_ns), now_ns)
        if message.generation_complete or message.turn_complete:
            self._turns.generated()
            self._agent.mark_end()
        if message.turn_complete:
            if self._stalls is not None:
                self._stalls.turn_complete(now_ns)
            self._turns.complete(now_ns, self._playout.end_ns)
        if message.prompt_tokens >= 0:
            self.tally.prompt_tokens += message.prompt_tokens
            self.tally.response_tokens += message.response_tokens
        if message.go_away_ms >= 0 or message.resumption is not None or message.prompt_tokens >= 0:
            self.renewals.model_says(message, now_ns)
        if message.tool_calls or message.tool_cancellations:
            if message.tool_calls and self._stalls is not None:
                self._stalls.tool_called(now_ns)
            self.desk.model_says(message, now_ns, said=conversation.agent_spoke_last(), model=self._model)

    def _interrupt(self, now_ns: int) -> None:
        """The model heard the caller speak over the agent: silence, in this very call stack."""
        turn = self._conversation.interrupt(now_ns)
        discarded_ns = self._agent.silence(now_ns)
        flush_us = (self._clock() - now_ns) // 1000
        self._agent.forget()
        if self.hold is not None:
            self.hold.interrupted(now_ns)
        self.desk.interrupted()
        if turn is not None:
            self.tally.interruptions += 1
            self._emit(events.Interrupted(turn.number, discarded_ns // 1_000_000, flush_us), now_ns)
        words = self._conversation.cut_words(turn) if turn is not None and turn.cut else ("", "", 0)
        if self._stalls is not None:
            self._stalls.interrupted(turn, words[:2], now_ns)
        if turn is not None and turn.cut:
            self._tell_heard(*words)

    def _tell_heard(self, heard: str, unheard: str, heard_ms: int) -> None:
        """Tell the model now, while it says nothing: what it is sent later might cut off its next answer."""
        note = heard_note(heard, unheard, heard_ms, self.config.telling)
        if note is None or self._model is None:
            return
        if self.config.telling is Telling.ACTIVITY_TEXT and self.gate is not None:
            self.gate.say_within(note)
        else:
            self._model.send_text(note)

    # -- the legs come and go --

    def model_ready(self, leg: Leg, connect_ms: int, setup_ms: int, now_ns: int) -> None:
        """setupComplete came. The greeting is asked for at once, so that it is there when the callee picks
        up."""
        self.state = advance(self.state, Event.MODEL_READY)
        self._connect(leg)
        self.renewals.began(leg, now_ns)
        self._setup_ms = setup_ms
        self._emit(events.SessionReady(connect_ms, setup_ms, self.config.model), now_ns)
        if self._greeting.asked:
            leg.send_text(gemini.say(self.config.greeting))
        if self.state is State.LIVE:
            self._go_live(now_ns)

    def _connect(self, leg: Leg) -> Leg:
        """A session of the model's is there, or none is; returns what audio and texts are sent to."""
        self._model = self._voice.inlet = leg if self.gate is None else self.gate.attach(leg)
        return self._model

    def open_failed(self, failure: ModelFailure, now_ns: int) -> None:
        """The model's session could not be opened. Nothing has begun, so nothing ends: there is no
        StreamEnded,
        and the call may be prepared again, here or elsewhere."""
        self.state = advance(self.state, Event.ENDED)
        self._emit(events.SessionFailed(failure.code, failure.reason, failure.retryable), now_ns)
        if self._caller is not None:
            self._caller.close(CloseCode.INTERNAL, "the model can't be reached")
            self._caller = None

    def model_closed(self, failure: ModelFailure, now_ns: int) -> None:
        """The model's socket is gone, and not by our `close`."""
        if self.state is not State.ENDED and not self.renewals.lost(failure, now_ns):
            self._model_failed(failure, now_ns)

    def renew(self, how: Renewal, why: str, now_ns: int) -> bool:
        """Put another session of the model's under the call now. False: it can't be had, or is on its way."""
        return self.state is not State.ENDED and self.renewals.renew(how, why, now_ns)

    def _model_failed(self, failure: ModelFailure, now_ns: int) -> None:
        self._model = None
        self._emit(events.SessionFailed(failure.code, failure.reason, failure.retryable), now_ns)
        self.end(EndReason.MODEL_FAILED, str(failure), now_ns)

    @property
    def takes_stream(self) -> bool:
        """Whether a stream with the right token may attach now."""
        waits = self.state in (State.PREPARING, State.READY) or bool(self.line.token)
        return waits and self._caller is None

    @property
    def unplayed_ms(self) -> int:
        """Agent audio that waits."""
        return len(self._agent.held) // 8

    def attach_caller(self, leg: Leg) -> None:
        """Twilio's socket is open and presented the token."""
        assert self.takes_stream, "a stream attaches to a call that takes none"
        self._caller = leg

    def caller_closed(self, detail: str, now_ns: int) -> None:
        """Twilio's socket is gone, and not by our `close`. Before `start` another one may come."""
        self._caller = None
        if self.start_ns and not self._leaves(now_ns):
            self.end(EndReason.SOCKET_CLOSED, detail, now_ns)

    @property
    def speaks(self) -> bool:
        """Agent audio is being played, or waits."""
        return self._playout.left_ns(self._clock()) > 0 or len(self._agent.held) > 0

    def _leaves(self, now_ns: int) -> bool:
        """The stream is over; True: another one is to come, and the conversation waits for it."""
        if self.state is not State.LIVE or not self.line.expects(now_ns):
            return False
        caller, self._caller = self._caller, None
        if caller is not None:
            caller.close(CloseCode.NORMAL, "")
        self._agent.leave(now_ns)
        self._log.info("the stream has left, and is to come back")
        return True

    def _come_back(self, message: twilio.Start, caller: Leg, now_ns: int) -> None:
        """The call has a stream again; all times go on from the first one's start."""
        self.line.came_back()
        self.stream_sid = message.stream_sid
        self._agent.address(message.stream_sid)
        self._emit(events.StreamStarted(message.stream_sid, message.call_sid), now_ns)
        self._voice.expect(*twilio.media_shape(message.stream_sid))
        self._let_speak(caller)

    def _start(self, message: twilio.Start, now_ns: int) -> None:
        caller = self._caller
        assert caller is not None, "start came without a socket"
        if self.start_ns and self.line.token and message.stream_sid != self.stream_sid:
            self._come_back(message, caller, now_ns)
            return
        if self.start_ns:
            raise PeerError("a second start", CloseCode.POLICY)
        self._prewarmed = self.state is State.READY
        self.state = advance(self.state, Event.STREAM_STARTED)
        self.start_ns = now_ns
        self.stream_sid = message.stream_sid
        self._agent.address(message.stream_sid)
        self._conversation.stream_started(now_ns)
        self.renewals.stream_started(now_ns)
        self._greeting.stream_started(now_ns)
        if not self._greeting.waits:
            self._let_speak(caller)
        self._emit(events.StreamStarted(message.stream_sid, message.call_sid), now_ns)
        if self.state is State.LIVE:
            self._go_live(now_ns)

    def _go_live(self, now_ns: int) -> None:
        """Both legs are there: what the caller said meanwhile goes to the model, and audio takes the fast
        road."""
        if self._greeting.withholds:
            return
        self._voice.expect(*twilio.media_shape(self.stream_sid))
        self.renewals.anchored(self._voice.release(now_ns))
        if self._stalls is not None and not self._greeting.waits:
            self._stalls.begin(now_ns)

    def tick(self, now_ns: int) -> None:
        """Called several times a second: what is due only because time has passed."""
        self.tally.settle()
        if self._greeting.waits and self.start_ns:
            self._greet(now_ns)
        if now_ns >= self.renewals.looks_from_ns:
            self.renewals.tick(now_ns)
        if self.state is State.LIVE:
            deadline_ns = self._turns.deadline_ns
            if deadline_ns and now_ns >= deadline_ns:
                self._emit_all(self._conversation.finish(now_ns), now_ns)
            if self._conversation.heard.waiting:
                self._emit_all(self._conversation.settle(now_ns), now_ns)
            keys = self.line.due(now_ns)
            if keys is not None and self._model is not None:
                self._model.send_text(keys)
            if self.texts.waiting and self._model is not None and not self._turns.generating:
                for message in self.texts.due():
                    self._model.send_text(message)
            if self._caller is None and now_ns >= self.line.until_ns:
                self.end(EndReason.STOP, "no stream came back", now_ns)
                return
            if self.hold is not None:
                self.hold.look(now_ns)
            if now_ns >= self._playout.end_ns:
                self._agent.probe(now_ns)
            if self._stalls is not None and now_ns >= self._stalls.look_ns:
                self._stalls.tick(now_ns, self._model, held=self._is_held)
            if self.config.tools:
                self.desk.tick(now_ns, self._model)
                if self.desk.farewell.asked and self._farewell_is_over(now_ns):
                    self.end(EndReason.AGENT_ENDED, "", now_ns)
        elif not self.start_ns and now_ns >= self.config.expires_at_ns:
            self.end(EndReason.EXPIRED, "no stream came in time", now_ns)

    @property
    def _is_held(self) -> bool:
        """The model is not expected to speak, or could not be heard."""
        outlet = self._agent.outlet
        unheard = outlet is None or outlet.congested or self._model is None or self._is_renewed
        return unheard or self.desk.pending > 0 or self.desk.farewell.asked

    @property
    def _is_renewed(self) -> bool:
        return self.renewals.under_way and self._stalls is not None and not self._stalls.renewing

    def _give_up(self, detail: str, now_ns: int) -> None:
        self.end(EndReason.MODEL_FAILED, detail, now_ns)

    def _greet(self, now_ns: int) -> None:
        """The greeting waits for the callee's hello."""
        withheld, caller = self._greeting.withholds, self._caller
        move = self._greeting.step(now_ns)
        if move is Move.STAY or caller is None:
            return
        if move is Move.SPEAK:
            if withheld:  # a hello, or silence: the greeting is the answer to it
                self.tally.hello_samples += len(self._voice.early.take())
                self._up.speech.heard_out(now_ns)
            self._let_speak(caller)
        if self.state is State.LIVE:
            if withheld:
                self._go_live(now_ns)
            elif self._stalls is not None and not self._greeting.waits:
                self._stalls.begin(now_ns)

    def _let_speak(self, caller: Leg) -> None:
        self._agent.outlet = caller
        self._agent.release()

    def send_text(self, text: str, *, instruct: bool) -> None:
        """A text from outside of the call: for the model to say or, with `instruct`, to know.

        Raises:
            TextRefused: no conversation runs, or the model takes no such text.
        """
        if self.state is not State.LIVE or self._model is None:
            raise TextRefused("no conversation runs in this call now")
        if instruct:
            self.texts.instruct(text)
        else:
            self._model.send_text(self.texts.speak(text))

    def answer_tool(self, tool_call_id: str, response: dict[str, Any], now_ns: int) -> Outcome:
        """A function's answer came from the control plane."""
        spoke_ns = self._up.speech.stopped_ns
        return self.desk.answer(tool_call_id, response, now_ns, spoke_ns=spoke_ns, model=self._model)

    def _farewell_is_over(self, now_ns: int) -> bool:
        return self.desk.farewell.due(
            now_ns,
            generating=self._turns.generating,
            left_ns=self._playout.left_ns(now_ns) + len(self._agent.held) * _NS_PER_SAMPLE,
            samples=self._playout.sent,
        )

    def end(self, reason: EndReason, detail: str, now_ns: int) -> None:
        """The media leg is over, whatever the reason; does nothing when it is over already."""
        if self.state is State.ENDED:
            return
        self.state = advance(self.state, Event.ENDED)
        self.end_reason = reason
        if self.start_ns:  # else nobody was there to hear the greeting: no words, no turn
            self._emit_all(self._conversation.end(now_ns), now_ns)
        first_ns = self._agent.first_ns
        first_audio_ms = (first_ns - self.start_ns) // 1_000_000 if first_ns else -1
        self.tally.settle()
        self.tally.caller_samples = self._up.samples
        self.tally.agent_samples = self._playout.sent
        self.summary = self.tally.summary(
            first_audio_ms=first_audio_ms, setup_ms=self._setup_ms, prewarmed=self._prewarmed
        )
        self._emit(events.StreamEnded(reason, detail, self.summary), now_ns)
        if self._model is not None:
            self._model.close(CloseCode.NORMAL, "")
        if self._caller is not None:
            self._caller.close(*CLOSES[reason])
        self._model = self._caller = None
        self._voice.let_go()
        self._ended(self)
        self.renewals.let_go()
        self._agent.let_go()
        self.desk.let_go()
        if self._stalls is not None:
            self._stalls.let_go()

    def _emit(self, body: Body, now_ns: int) -> None:
        if isinstance(body, events.TurnCompleted) and body.response_ms >= 0:
            self.tally.response.observe(body.response_ms * 1000)
        elif isinstance(body, events.SessionRenewed) and self._stalls is not None:
            self._stalls.renewed(now_ns)
        self.renewals.told(body)
        offset_ms = (now_ns - self.start_ns) // 1_000_000 if self.start_ns else -1
        self._emit_event(events.CallEvent(self.config.workflow_id, self.next_seq, now_ns, offset_ms, body))
        self.next_seq += 1

    def _emit_all(self, bodies: Iterable[Body], now_ns: int) -> None:
        for body in bodies:
            self._emit(body, now_ns)

    def _drop_up(self, reason: str) -> None:
        if not self.tally.dropped_up:
            self._log.warning("caller audio dropped", reason=reason)
        self.tally.dropped_up += 1

    def _drop_down(self, reason: str) -> None:
        if not self.tally.dropped_down:
            self._log.warning("agent audio dropped", reason=reason)
        self.tally.dropped_down += 1
        self._turns.audio_lost()

    def _tolerate(self, peer: str, error: PeerError) -> None:
        """Count nonsense that hurts nobody but its sender; too much of it is no telephone call."""
        if not self.tally.peer_errors:
            self._log.warning("message not understood", peer=peer, reason=error.reason)
        self.tally.peer_errors += 1
        if self.tally.peer_errors > _MAX_PEER_ERRORS:
            raise error
