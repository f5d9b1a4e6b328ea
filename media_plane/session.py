"""CallSession: the conductor of one call. It never awaits and never sees a socket.

A frame is a function call: Twilio's frame callback → `caller_frame` → kernel → the model's socket, in one stack;
`model_frame` the other way. Nothing waits in a queue between the sockets; the one place where agent audio waits
is `_held`, before Twilio's stream has started. What is not an audio frame of the common shape takes the slow
road: `wire` parses it, `call` decides, this file acts.

Frames are stamped with `now_ns` where they are read; the clock given at construction is read once more after the
write, for the time spent in between. A session is used from one thread, by one caller at a time.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from media_plane.call.conversation import Conversation
from media_plane.call.histogram import Histogram
from media_plane.call.lifecycle import Event, State, advance
from media_plane.call.playout import Playout
from media_plane.dsp.codec import OFFSET, Codecs
from media_plane.errors import CloseCode, ModelFailure, PeerError
from media_plane.wire import gemini, twilio
from media_plane.wire.events import (
    Body,
    CallEvent,
    DtmfReceived,
    EndReason,
    Interrupted,
    MediaSummary,
    SessionFailed,
    SessionReady,
    StreamEnded,
    StreamStarted,
)

log = structlog.get_logger()

HELD_MAX = 60 * 8000  # bytes of μ-law that wait for the stream's start: 60 s
EARLY_MAX = 5 * 8000  # bytes of the caller's μ-law that wait for the model's session: 5 s
_TAIL = len(twilio.MEDIA_TAIL)
_WHOLE = 24_000  # bytes of μ-law a message: 3 s, 32 kB as base64
_NS_PER_SAMPLE = 125_000
_MAX_PEER_ERRORS = 50  # 1 s of bad frames: a peer that does not speak this protocol


class Leg(Protocol):
    """One of the session's two sockets, seen from inside. `congested`: more waits in it than its bound allows."""

    congested: bool

    def send(self, buffer: bytearray, offset: int) -> None:
        """Write `buffer[offset:]` as one text message now. The bytes may be scrambled afterwards."""

    def send_text(self, message: bytes) -> None:
        """Write a whole text message now."""

    def close(self, code: int, reason: str) -> None:
        """Close in an orderly way. Nothing of this leg is told to the session after that."""


@dataclass(frozen=True, slots=True)
class CallConfig:
    workflow_id: str
    greeting: str
    model: str
    expires_at_ns: int  # give up if no stream has started by then


class CallSession:
    """See the module. `emit` is given every event in order; `ended` is called once, after the last one."""

    def __init__(
        self,
        config: CallConfig,
        codecs: Codecs,
        *,
        clock: Callable[[], int],
        emit: Callable[[CallEvent], None],
        ended: Callable[[CallSession], None],
        first_seq: int = 1,
    ) -> None:
        self.config = config
        self.state = State.PREPARING
        self.stream_sid = ""
        self.start_ns = 0  # Twilio's `start`; 0: not yet
        self.next_seq = first_seq
        self.up_latency = Histogram()
        self.down_latency = Histogram()
        self.dropped_up = 0  # frames
        self.dropped_down = 0  # messages
        self.peer_errors = 0
        self.interruptions = 0
        self.summary: MediaSummary | None = None  # set at the end
        self.setup_ms = 0
        self.end_reason: EndReason | None = None

        self._clock = clock
        self._emit_event = emit
        self._ended = ended
        self._log = log.bind(workflow_id=config.workflow_id)
        self._model: Leg | None = None
        self._caller: Leg | None = None
        self._up = codecs.uplink(gemini.AUDIO_HEAD)
        self._down = codecs.downlink()
        self._encode = self._up.encode
        self._shape = gemini.AudioShape()
        self._payload_at: Callable[[bytes], int] = _no_payload
        self._speech_frame = (conversation := Conversation()).speech.frame
        self._conversation = conversation
        self._playout = Playout()
        self._held = bytearray()  # agent's μ-law, before the stream starts
        self._early = bytearray()  # caller's μ-law, before the model is ready
        self._up_samples = 0
        self._first_audio_ns = 0
        self._prewarmed = False
        self._prompt_tokens = 0
        self._response_tokens = 0

    # -- the model's leg ---------------------------------------------------------------------------------------

    def model_ready(self, leg: Leg, connect_ms: int, setup_ms: int, now_ns: int) -> None:
        """setupComplete came. Asks for the greeting at once, so that it is ready when the callee picks up."""
        self.state = advance(self.state, Event.MODEL_READY)
        self._model = leg
        self.setup_ms = setup_ms
        self._emit(SessionReady(connect_ms, setup_ms, self.config.model), now_ns)
        if self.config.greeting:
            leg.send_text(gemini.say(self.config.greeting))
        if self.state is State.LIVE:
            self._go_live()
            early, self._early = self._early, bytearray()
            self._send_up_slowly(b64encode(early).decode(), now_ns)

    def model_frame(self, data: bytes, now_ns: int) -> None:
        """A whole message of the model's, read at `now_ns`."""
        shape = self._shape
        if shape.fits(data) and self._play(data, shape.start, len(data) + shape.stop, now_ns):
            return
        try:
            message = gemini.parse(data)
            shape.learn(data, message)
            self._on_model(message, now_ns)
        except PeerError as error:
            self._tolerate("model", error)

    def model_closed(self, failure: ModelFailure, now_ns: int) -> None:
        """The model's socket is gone and was not closed by us."""
        if self.state is State.ENDED:
            return
        self._model = None
        self._emit(SessionFailed(failure.code, failure.reason, failure.retryable), now_ns)
        self.end(EndReason.MODEL_FAILED, str(failure), now_ns)

    def _play(self, data: bytes, start: int, end: int, now_ns: int) -> bool:
        """Decode one part of agent audio and send it; False, and nothing done, when it is not plain base64."""
        result = self._down.decode(data, start, end)
        if result <= 0:
            return result == 0
        samples = result >> 32
        conversation = self._conversation
        if conversation.turns.is_stale(now_ns):
            self.dropped_down += 1
            return True
        caller = self._caller
        if self.start_ns == 0 or caller is None:
            self._hold(self._down.ulaw(samples), now_ns)
            return True
        if caller.congested:
            self._drop_down()
            return True
        caller.send(self._down.buffer, result & OFFSET)
        written_ns = self._clock()
        self.down_latency.observe((written_ns - now_ns) // 1000)
        self._sent(caller, samples, written_ns)
        return True

    def _sent(self, caller: Leg, samples: int, now_ns: int) -> None:
        """`samples` of agent audio were written to Twilio."""
        if self._first_audio_ns == 0:
            self._first_audio_ns = now_ns
        playout = self._playout
        playout.write(samples, now_ns)
        for body in self._conversation.agent_audio(samples, now_ns):
            self._emit(body, now_ns)
        name = playout.due_mark()
        if name is not None:
            caller.send_text(twilio.mark(self.stream_sid, name))

    def _hold(self, ulaw: bytes, now_ns: int) -> None:
        if len(self._held) + len(ulaw) > HELD_MAX:
            if self.dropped_down == 0:
                self._log.warning("held_audio_full", limit_s=HELD_MAX // 8000)
            self.dropped_down += 1
            return
        self._held += ulaw
        for body in self._conversation.agent_audio(len(ulaw), now_ns):
            self._emit(body, now_ns)

    def _release_held(self, caller: Leg) -> None:
        """Send what waited for the stream: its first write."""
        held, self._held = self._held, bytearray()
        if not held:
            return
        head = twilio.media_head(self.stream_sid)
        for at in range(0, len(held), _WHOLE):
            caller.send_text(head + b64encode(held[at : at + _WHOLE]) + twilio.MEDIA_TAIL)
        written_ns = self._clock()
        self._first_audio_ns = written_ns
        self._playout.write(len(held), written_ns)
        self._conversation.played_until(self._playout.end_ns)
        name = self._playout.due_mark(turn_over=True)
        if name is not None:
            caller.send_text(twilio.mark(self.stream_sid, name))

    def _on_model(self, message: gemini.ServerMessage, now_ns: int) -> None:
        conversation = self._conversation
        if message.interrupted:
            self._interrupt(now_ns)
        for part in message.audio:
            self._play_slowly(gemini.standard_base64(part), now_ns)
        bodies: list[Body] = []
        if message.input_text:
            bodies += conversation.caller_text(message.input_text, now_ns)
        if message.output_text:
            bodies += conversation.agent_text(message.output_text, now_ns)
        if message.generation_complete or message.turn_complete:
            conversation.turns.generated()
            name = self._playout.due_mark(turn_over=True) if self._caller is not None else None
            if name is not None and self._caller is not None:
                self._caller.send_text(twilio.mark(self.stream_sid, name))
        if message.turn_complete:
            conversation.turns.complete(now_ns, self._playout.end_ns)
        if message.prompt_tokens >= 0:
            self._prompt_tokens += message.prompt_tokens
            self._response_tokens += message.response_tokens
        if message.go_away_ms >= 0:
            self._log.info("model_go_away", left_ms=message.go_away_ms)
        for call in message.tool_calls:
            self._log.warning("tool_call_ignored", name=call.name, id=call.id)
        for body in bodies:
            self._emit(body, now_ns)

    def _play_slowly(self, audio: bytes, now_ns: int) -> None:
        """Any length of base64 that may not even be base64."""
        step = self._down.max_chars
        for at in range(0, len(audio), step):
            if not self._play(audio, at, min(at + step, len(audio)), now_ns):
                raise PeerError("inlineData.data is not base64")

    def _interrupt(self, now_ns: int) -> None:
        """The model heard the caller speak over the agent: silence, in this very call stack."""
        discarded_ns = self._playout.clear(now_ns)
        discarded_ns += len(self._held) * _NS_PER_SAMPLE
        self._held.clear()
        if self._caller is not None and self.start_ns:
            self._caller.send_text(twilio.clear(self.stream_sid))
        flush_us = (self._clock() - now_ns) // 1000
        self._down.reset()
        turn = self._conversation.turns.interrupt(now_ns)
        if turn is None:
            return
        self.interruptions += 1
        self._emit(Interrupted(turn.number, discarded_ns // 1_000_000, flush_us), now_ns)

    # -- Twilio's leg ------------------------------------------------------------------------------------------

    @property
    def takes_stream(self) -> bool:
        """Whether a stream with the right token may attach now."""
        return self._caller is None and self.state in (State.PREPARING, State.READY)

    def attach_caller(self, leg: Leg) -> None:
        """Twilio's socket is open and presented the token."""
        assert self.takes_stream, "a stream attaches to a call that takes none"
        self._caller = leg

    def caller_frame(self, data: bytes, now_ns: int) -> None:
        """A whole message of Twilio's, read at `now_ns`.

        Raises:
            PeerError: the stream must be closed.
        """
        start = self._payload_at(data)
        if start < 0 or not self._send_up(data, start, len(data) - _TAIL, now_ns):
            self._on_caller(twilio.parse(data), now_ns)

    def caller_closed(self, detail: str, now_ns: int) -> None:
        """Twilio's socket is gone and was not closed by us. Before `start` another one may come."""
        self._caller = None
        if self.start_ns and self.state is not State.ENDED:
            self.end(EndReason.SOCKET_CLOSED, detail, now_ns)

    def _send_up(self, data: bytes, start: int, end: int, now_ns: int) -> bool:
        """Encode one piece of caller audio and send it; False, and nothing done, when it is not plain base64."""
        result = self._encode(data, start, end)
        if result <= 0:
            return result == 0
        model = self._model
        assert model is not None, "caller audio is encoded before the model is ready"
        if model.congested:
            self._drop_up()
        else:
            model.send(self._up.buffer, result & OFFSET)
            self.up_latency.observe((self._clock() - now_ns) // 1000)
        samples = result >> 32 & 0xFFFF
        self._up_samples += samples
        self._speech_frame(result >> 48, samples * _NS_PER_SAMPLE, now_ns)
        return True

    def _send_up_slowly(self, payload: str, now_ns: int) -> None:
        """Any length of base64 that may not even be base64."""
        audio = gemini.standard_base64(payload)
        if self._model is None:
            self._wait_for_model(audio)
            return
        step = self._up.max_chars
        for at in range(0, len(audio), step):
            if not self._send_up(audio, at, min(at + step, len(audio)), now_ns):
                raise PeerError("media.payload is not base64")

    def _wait_for_model(self, audio: bytes) -> None:
        ulaw = b64decode(audio)
        if len(self._early) + len(ulaw) > EARLY_MAX:
            self._drop_up()
        else:
            self._early += ulaw

    def _on_caller(self, message: twilio.Message, now_ns: int) -> None:
        if isinstance(message, twilio.Start):
            self._start(message, now_ns)
            return
        if isinstance(message, twilio.Connected | twilio.Unknown):
            return
        if self.start_ns == 0 or message.stream_sid != self.stream_sid:
            self._tolerate("caller", PeerError("message for a stream that has not started"))
        elif isinstance(message, twilio.Media):
            try:
                self._send_up_slowly(message.payload, now_ns)
            except (PeerError, ValueError):
                self._tolerate("caller", PeerError("media.payload is not base64"))
        elif isinstance(message, twilio.Mark):
            self._playout.returned(message.name, now_ns)
        elif isinstance(message, twilio.Dtmf):
            self._emit(DtmfReceived(message.digit), now_ns)
        else:
            self.end(EndReason.STOP, "", now_ns)

    def _start(self, message: twilio.Start, now_ns: int) -> None:
        if self.start_ns:
            raise PeerError("a second start", CloseCode.POLICY)
        caller = self._caller
        assert caller is not None, "start came without a socket"
        self._prewarmed = self.state is State.READY
        self.state = advance(self.state, Event.STREAM_STARTED)
        self.start_ns = now_ns
        self.stream_sid = message.stream_sid
        self._down.address(twilio.media_head(message.stream_sid))
        self._conversation.stream_started(now_ns)
        self._release_held(caller)
        self._emit(StreamStarted(message.stream_sid, message.call_sid), now_ns)
        if self.state is State.LIVE:
            self._go_live()

    def _go_live(self) -> None:
        """Both legs are there: from now on caller audio takes the fast road."""
        self._payload_at = twilio.media_payload(self.stream_sid)

    # -- time and end ------------------------------------------------------------------------------------------

    def tick(self, now_ns: int) -> None:
        """Called several times a second: what is due only because time has passed."""
        if self.state is State.LIVE:
            deadline = self._conversation.turns.deadline_ns
            if deadline and now_ns >= deadline:
                for body in self._conversation.finish(now_ns):
                    self._emit(body, now_ns)
        elif self.start_ns == 0 and now_ns >= self.config.expires_at_ns:
            self.end(EndReason.EXPIRED, "no stream came in time", now_ns)

    def open_failed(self, failure: ModelFailure, now_ns: int) -> None:
        """The model's session could not be opened. Nothing has begun, so nothing ends: there is no StreamEnded,
        and the call may be prepared again, here or elsewhere."""
        self.state = advance(self.state, Event.ENDED)
        self._emit(SessionFailed(failure.code, failure.reason, failure.retryable), now_ns)
        if self._caller is not None:
            self._caller.close(CloseCode.INTERNAL, "the model can't be reached")
            self._caller = None

    def end(self, reason: EndReason, detail: str, now_ns: int) -> None:
        """The media leg is over, whatever the reason; does nothing when it is over already."""
        if self.state is State.ENDED:
            return
        self.state = advance(self.state, Event.ENDED)
        self.end_reason = reason
        for body in self._conversation.end(now_ns):
            self._emit(body, now_ns)
        self.summary = self._summarise()
        self._emit(StreamEnded(reason, detail, self.summary), now_ns)
        if self._model is not None:
            self._model.close(CloseCode.NORMAL, "")
        if self._caller is not None:
            self._caller.close(*_CLOSES[reason])
        self._model = self._caller = None
        self._payload_at = _no_payload
        self._ended(self)

    def _summarise(self) -> MediaSummary:
        return MediaSummary(
            uplink=self.up_latency.latency(),
            downlink=self.down_latency.latency(),
            first_audio_ms=(self._first_audio_ns - self.start_ns) // 1_000_000
            if self._first_audio_ns
            else -1,
            caller_audio_ms=self._up_samples // 8,
            agent_audio_ms=self._playout.sent // 8,
            dropped_frames=self.dropped_up + self.dropped_down,
            interruptions=self.interruptions,
            setup_ms=self.setup_ms,
            prewarmed=self._prewarmed,
            prompt_tokens=self._prompt_tokens,
            response_tokens=self._response_tokens,
        )

    # -- small ones --------------------------------------------------------------------------------------------

    def _emit(self, body: Body, now_ns: int) -> None:
        offset_ms = (now_ns - self.start_ns) // 1_000_000 if self.start_ns else -1
        self._emit_event(CallEvent(self.config.workflow_id, self.next_seq, now_ns, offset_ms, body))
        self.next_seq += 1

    def _drop_up(self) -> None:
        if self.dropped_up == 0:
            self._log.warning("caller_audio_dropped", reason="the model's socket takes too little")
        self.dropped_up += 1

    def _drop_down(self) -> None:
        if self.dropped_down == 0:
            self._log.warning("agent_audio_dropped", reason="Twilio's socket takes too little")
        self.dropped_down += 1

    def _tolerate(self, peer: str, error: PeerError) -> None:
        """Count a peer's nonsense that hurts nothing but itself; too much of it is no telephone call."""
        if self.peer_errors == 0:
            self._log.warning("peer_error", peer=peer, reason=error.reason)
        self.peer_errors += 1
        if self.peer_errors > _MAX_PEER_ERRORS:
            raise error


def _no_payload(data: bytes) -> int:
    return -1


_CLOSES: dict[EndReason, tuple[CloseCode, str]] = {
    EndReason.STOP: (CloseCode.NORMAL, ""),
    EndReason.SOCKET_CLOSED: (CloseCode.NORMAL, ""),
    EndReason.MODEL_FAILED: (CloseCode.INTERNAL, "the model's session failed"),
    EndReason.REQUESTED: (CloseCode.NORMAL, "call ended"),
    EndReason.EXPIRED: (CloseCode.POLICY, "no start in time"),
    EndReason.DRAIN: (CloseCode.GOING_AWAY, "node is shutting down"),
}
