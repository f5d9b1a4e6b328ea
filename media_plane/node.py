"""The node: admits calls, opens their model sessions, finds them for Twilio's streams, ends them."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic_ns

import structlog

from media_plane.call.greeting import GreetingMode
from media_plane.call.hold import HoldCounts
from media_plane.call.lifecycle import State
from media_plane.call.tally import Tally
from media_plane.call.tools import ToolCounts
from media_plane.dsp.codec import Codecs
from media_plane.errors import CallRefused, ModelFailure
from media_plane.io.gemini_pool import GeminiPool
from media_plane.io.gemini_tools import Function, declared
from media_plane.io.listener import Listener
from media_plane.io.reopening import RenewalPlan, Reopener
from media_plane.io.spoken_lines import SpokenLines
from media_plane.session import CallConfig, CallSession
from media_plane.stall_plan import StallPlan
from media_plane.totals import total
from media_plane.turn_taking import detection, hold_knobs, includes_all_input
from media_plane.wire.events import CallEvent, EndReason, MediaSummary
from media_plane.wire.gemini_notes import Telling, telling, tells_heard
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings, TurnSettings

log = structlog.get_logger(__name__)

_TICK_S = 0.1  # each session's
_SLICES = 2  # of the sessions, one after another: all at once would keep the loop for milliseconds
_REMEMBERED = 2000  # calls that are over


@dataclass(frozen=True, slots=True)
class Request:
    """A call to prepare, validated."""

    workflow_id: str
    stream_token: str
    system_prompt: str
    greeting: str
    model: str
    voice: str
    expires_in_s: int
    tools: tuple[Function, ...] = ()
    greeting_mode: GreetingMode = GreetingMode.IMMEDIATE
    hello_silence_ns: int = 1_200_000_000
    settings: AgentSettings | None = None  # without model and voice, which are the two above


@dataclass(slots=True)
class Prepared:
    """A call of this node. `opening` resolves to (connect_ms, setup_ms)."""

    request: Request
    session: CallSession
    reopener: Reopener | None = None
    opening: asyncio.Task[tuple[int, int]] | None = None


@dataclass(frozen=True, slots=True)
class Over:
    """What is left of a call. `summary` is None for one whose model session could not be opened."""

    summary: MediaSummary | None
    stream_sid: str
    live_ms: int
    next_seq: int  # (workflow_id, node, seq) is unique for ever, even when the call is prepared again


@dataclass(slots=True)
class Counters:
    """Since the process started; only ever grow."""

    calls: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Unanswered:
    """Calls that were prepared and that nobody answered: what they cost. Only grows."""

    calls: Counter[str] = field(default_factory=Counter)  # by end reason
    sessions: int = 0  # of the model, that were open for them and are released
    audio_ms: int = 0  # of agent audio, made and never played
    prompt_tokens: int = 0
    response_tokens: int = 0

    def add(self, session: CallSession, reason: str, *, opened: bool) -> None:
        self.calls[reason] += 1
        self.sessions += opened
        self.audio_ms += session.unplayed_ms
        self.prompt_tokens += session.tally.prompt_tokens
        self.response_tokens += session.tally.response_tokens


class Node:
    """`changed` is called whenever the number of calls or `draining` changes; `model_path` gives a model's
    name as the service wants it; `tells_heard`, `tells_keys`: models are told what the
    caller did not hear, and which keys they press."""

    def __init__(
        self,
        *,
        node_id: str,
        capacity: int,
        pool: GeminiPool,
        codecs: Codecs,
        listener: Listener,
        emit: Callable[[CallEvent], None],
        changed: Callable[[], None] = lambda: None,
        model_path: Callable[[str], str] = "models/{}".format,
        tells_heard: bool = True,
        tells_keys: bool = True,
        stalls: StallPlan | None = None,
        renewals: RenewalPlan | None = None,
        lines: SpokenLines | None = None,
    ) -> None:
        self.id = node_id
        self.capacity = capacity
        self.draining = False
        self.counters = Counters()
        self.unanswered = Unanswered()
        self._tally = Tally()  # of calls that are over
        self._tool_counts = ToolCounts()  # likewise
        self.changed = changed
        self.pool = pool
        self.listener = listener
        self.holds = HoldCounts()  # over all calls
        self._codecs = codecs
        self._emit = emit
        self._model_path = model_path
        self._tells_heard = tells_heard
        self._tells_keys = tells_keys
        self.renewals = renewals  # None: a call ends with its model's session
        self.stalls = stalls if stalls is not None else StallPlan()
        self._lines = lines
        self._calls: dict[str, Prepared] = {}
        self._over: OrderedDict[str, Over] = OrderedDict()
        self._idle = asyncio.Event()
        self._idle.set()
        self._ticker: asyncio.TimerHandle | None = None
        self._slice = 0

    # -- what others ask --

    @property
    def sessions(self) -> list[CallSession]:
        """Prepared and live."""
        return [call.session for call in self._calls.values()]

    @property
    def busy(self) -> bool:
        """Whether there are calls, prepared or live."""
        return bool(self._calls)

    @property
    def calls_live(self) -> int:
        return sum(call.session.start_ns > 0 for call in self._calls.values())

    def tally(self) -> Tally:
        """Counts over all calls, those that are over and those that are not."""
        return total([self._tally, *(session.tally for session in self.sessions)])

    @property
    def hello_samples(self) -> int:
        """Of all calls' tallies."""
        return self._tally.hello_samples + sum(session.tally.hello_samples for session in self.sessions)

    def tool_counts(self) -> ToolCounts:
        """The model's function calls, over all calls."""
        counts = ToolCounts()
        counts.add(self._tool_counts)
        for session in self.sessions:
            if session.config.tools:
                counts.add(session.desk.counts)
        return counts

    def find(self, workflow_id: str) -> tuple[CallSession, str] | None:
        call = self._calls.get(workflow_id)
        return None if call is None else (call.session, call.session.line.token or call.request.stream_token)

    def over(self, workflow_id: str) -> Over | None:
        """What is left of a call that was here lately."""
        return self._over.get(workflow_id)

    def refused(self, reason: str) -> None:
        self.counters.refused[reason] += 1

    def health(self) -> dict[str, object]:
        return {
            "status": "draining" if self.draining else "ok",
            "node_id": self.id,
            "calls": len(self._calls),
            "capacity": self.capacity,
        }

    # -- prepare and end --

    async def prepare(self, request: Request) -> tuple[int, int]:
        """Open the model's session of a call; asking again for the same call waits for the same session.

        Returns (connect_ms, setup_ms).

        Raises:
            CallRefused: node full or draining, or the id is taken by another token or a call that is over.
            ModelFailure: the session could not be opened. The id is free again.
        """
        call = self._calls.get(request.workflow_id)
        if call is not None:
            if call.request.stream_token != request.stream_token:
                raise CallRefused(CallRefused.CONFLICT, "workflow_id is prepared with another stream_token")
        else:
            call = self._admit(request)
        assert call.opening is not None, "a call is known before its session is being opened"
        await asyncio.wait([call.opening])  # not awaited itself: an asker who goes away must not cancel it
        if call.opening.cancelled():
            raise CallRefused(CallRefused.CONFLICT, "the call was ended while its session was being opened")
        return call.opening.result()

    def end(self, workflow_id: str, detail: str) -> MediaSummary | None:
        """End a call that is here; None when there is no such call."""
        call = self._calls.get(workflow_id)
        if call is None:
            return None
        call.session.end(EndReason.REQUESTED, detail, monotonic_ns())
        return call.session.summary

    def _admit(self, request: Request) -> Prepared:
        if self.draining:
            raise CallRefused(CallRefused.DRAINING, "the node is shutting down")
        if len(self._calls) >= self.capacity:
            raise CallRefused(CallRefused.FULL, f"the node holds {self.capacity} calls already")
        before = self._over.get(request.workflow_id)
        if before is not None and before.summary is not None:
            raise CallRefused(CallRefused.CONFLICT, "the call of this workflow_id is over")
        turns = request.settings.turns if request.settings is not None else TurnSettings()
        found = detection(turns)
        gate = None
        if found is not None:
            all_input = includes_all_input(turns)
            gate = self.listener.gate(found, self._codecs.uplink_rate, all_input=all_input)
        lines = self._lines.of_call(request.model, request.voice) if self._lines is not None else None
        reopener = self.renewals.call(request.workflow_id, self.pool) if self.renewals is not None else None
        tells = self._tells_heard and tells_heard(request.settings)
        told = telling(request.model, manual=gate is not None) if tells else Telling.NEVER
        session = CallSession(
            CallConfig(
                workflow_id=request.workflow_id,
                greeting=request.greeting,
                model=request.model,
                expires_at_ns=monotonic_ns() + request.expires_in_s * 1_000_000_000,
                tools=tuple(function.tool for function in request.tools),
                telling=told,
                greeting_mode=request.greeting_mode,
                hello_silence_ns=request.hello_silence_ns,
                tell_keys=self._tells_keys,
                hold=hold_knobs(turns),
                stalls=self.stalls.of(request.model, request.settings, lines),
            ),
            self._codecs,
            clock=monotonic_ns,
            emit=self._emit,
            ended=self._ended,
            first_seq=before.next_seq if before is not None else 1,
            gate=gate,
            holds=self.holds,
            renewing=reopener.renewing if reopener is not None else None,
        )
        call = self._calls[request.workflow_id] = Prepared(request, session, reopener)
        self.counters.calls += 1
        self._idle.clear()
        self.changed()
        self._start_ticking()
        call.opening = asyncio.create_task(self._open(call), name=f"open {request.workflow_id}")
        return call

    async def _open(self, call: Prepared) -> tuple[int, int]:
        from media_plane.io.gemini_setup import live_config, setup_message  # see io.gemini_sdk

        request = call.request
        functions = declared(request.tools)
        transparent = self.renewals is not None and self.renewals.transparent
        config = live_config(
            request.system_prompt, request.voice, functions, request.settings, transparent=transparent
        )
        setup = setup_message(self._model_path(request.model), config)
        if call.reopener is not None:
            call.reopener.setup = setup
        try:
            return await self.pool.open(call.session, setup)
        except ModelFailure as failure:
            self.counters.failures["retryable" if failure.retryable else "final"] += 1
            log.warning(
                "the model's session was not opened", workflow_id=request.workflow_id, reason=str(failure)
            )
            if call.session.state is not State.ENDED:
                call.session.open_failed(failure, monotonic_ns())
                self._forget(call.session)
            raise

    def _ended(self, session: CallSession) -> None:
        """A session has ended by itself or by us; called by it, once."""
        call = self._calls[session.config.workflow_id]
        opened = call.opening is not None and call.opening.done()
        if call.opening is not None and not opened:
            call.opening.cancel()
        assert session.end_reason is not None, "a session ended without a reason"
        reason = session.end_reason.name.lower()
        self.counters.ended[reason] += 1
        if not session.start_ns:
            self.unanswered.add(session, reason, opened=opened)
        self._tally.add(session.tally)
        self._tool_counts.add(session.desk.counts)
        log.info("call ended", workflow_id=session.config.workflow_id, reason=reason)
        self._forget(session)

    def _forget(self, session: CallSession) -> None:
        workflow_id = session.config.workflow_id
        del self._calls[workflow_id]
        if session.gate is not None:
            session.gate.let_go()
        live_ms = (monotonic_ns() - session.start_ns) // 1_000_000 if session.start_ns else 0
        self._over[workflow_id] = Over(session.summary, session.stream_sid, live_ms, session.next_seq)
        while len(self._over) > _REMEMBERED:
            self._over.popitem(last=False)
        if not self._calls:
            self._idle.set()
        self.changed()

    # -- time --

    def _start_ticking(self) -> None:
        """One timer for all calls, and none when there is no call."""
        if self._ticker is None:
            self._ticker = asyncio.get_running_loop().call_later(_TICK_S / _SLICES, self._tick)

    def _tick(self) -> None:
        self._ticker = None
        if self._calls:
            self._start_ticking()
        now_ns = monotonic_ns()
        self._slice = (self._slice + 1) % _SLICES
        for session in self.sessions[self._slice :: _SLICES]:
            session.tick(now_ns)

    async def drain(self, grace_s: float) -> None:
        """Take no new calls, give up prepared ones, let live ones finish for `grace_s`, then end them."""
        self.draining = True
        self.changed()
        await self.pool.close()
        now_ns = monotonic_ns()
        for session in self.sessions:
            if session.start_ns == 0:
                session.end(EndReason.DRAIN, "the node is shutting down", now_ns)
        if self._calls:
            log.info(
                "waiting for calls to finish",
                calls=len(self._calls),
                some=list(self._calls)[:5],
                up_to_s=grace_s,
            )
            try:
                async with asyncio.timeout(grace_s):
                    await self._idle.wait()
            except TimeoutError:
                log.warning("ending calls", calls=len(self._calls))
        for session in self.sessions:
            session.end(EndReason.DRAIN, "the node is shutting down", monotonic_ns())
