"""Renewals: puts the next session of the model's under a running call. Like the session it never awaits.

`call.continuity` says when and with which memory, `call.handover` what the next session must hear; the owner
of sockets opens it (`reopen`). In between the call has a model's leg that takes what it is given and does
nothing: the caller's audio is kept by its encoder, from where it is said again. What the agent has said
plays on.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import random
from typing import Protocol

import structlog
from picows import WSMsgType

from media_plane.agent_audio import AgentAudio, nobody
from media_plane.call.alignment import likely_length
from media_plane.call.continuity import (
    Attempt,
    Cause,
    Continuity,
    Outcome,
    Renewal,
    RenewalCounts,
    RenewalLimits,
)
from media_plane.call.conversation import Conversation
from media_plane.call.greeting import Greeting
from media_plane.call.handover import History, Seam, turns
from media_plane.call.playout import Playout
from media_plane.dsp.codec import KEPT, OFFSET, Codecs, Uplink
from media_plane.errors import CloseCode, ModelFailure
from media_plane.leg import TEXT, Leg
from media_plane.tool_desk import ToolDesk
from media_plane.wire import gemini, gemini_history
from media_plane.wire.events import Body, SessionRenewed, Speaker, TranscriptSegment, TurnCompleted
from media_plane.wire.gemini_history import Said
from protos.gemini.models import ClientContent, known

log = structlog.get_logger(__name__)

_FRAME = (
    160  # samples a message of what is said again, as of the audio that comes: the service counts messages
)
# A handle that comes with setupComplete was made before the session was told or heard anything.
_FIRST_HANDLE_NS = 1_000_000_000
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)]*\s*$")
_WARM_UP = 160  # samples before them, for the filter's memory


@dataclass(frozen=True, slots=True)
class Order:
    """Open the next session, `delay_ns` from now, once the socket of `after` is gone. `handle` empty: a new
    one; `history`: it is told first what was said."""

    handle: str
    history: bool
    delay_ns: int
    after: Leg | None


class Reopen(Protocol):
    """Begins to do what an order says, and returns what stops it. `user` is told how it went."""

    def __call__(self, order: Order, user: Renewals) -> Callable[[], object]: ...


@dataclass(frozen=True, slots=True)
class Renewing:
    """What a call needs for it. `counts`: shared by calls; `kept`: is given each new handle, empty when the
    call needs none any more."""

    reopen: Reopen
    counts: RenewalCounts
    limits: RenewalLimits
    kept: Callable[[str], None] = nobody


@dataclass(slots=True)
class Talk:
    """The parts of a session that a renewal looks at or changes."""

    up: Uplink
    codecs: Codecs
    conversation: Conversation
    playout: Playout
    agent: AgentAudio
    desk: ToolDesk
    greeting: Greeting
    greet: str  # the greeting's words


class Limbo:
    """The model's leg while there is none."""

    congested = False

    def send(self, kind: WSMsgType, buffer: bytearray, offset: int) -> None:
        pass

    def send_text(self, message: bytes) -> None:
        pass

    def close(self, code: int, reason: str) -> None:
        pass


_LIMBO = Limbo()


class Renewals:
    """`connect` puts a leg under the session and returns the one to send to; `failed` is told when the call
    must end for want of a model. It is the `ModelUser` of every session but the first."""

    __slots__ = (
        *("_anchor", "_answered_ns", "_attempt", "_base", "_broke_off", "_cancel", "_cause", "_connect"),
        *(
            "_detail",
            "_emit",
            "_exact",
            "_failed",
            "_failure",
            "_given",
            "_handle_at",
            "_history",
            "_leg",
            "_log",
        ),
        *("_lost_ns", "_model", "_model_closed", "_partial", "_policy", "_renewing", "_start_ns", "_taken"),
        *("_talk", "_tries", "model_frame"),
    )

    def __init__(
        self,
        workflow_id: str,
        model: str,
        renewing: Renewing | None,
        talk: Talk,
        *,
        connect: Callable[[Leg], Leg],
        frame: Callable[[bytes, int], None],
        closed: Callable[[ModelFailure, int], None],
        failed: Callable[[ModelFailure, int], None],
        emit: Callable[[Body, int], None],
    ) -> None:
        self.model_frame = frame
        self._model_closed = closed
        self._renewing = renewing
        self._talk = talk
        self._model = known(model)
        self._connect = connect
        self._failed = failed
        self._emit = emit
        self._log = log.bind(workflow_id=workflow_id)
        self._policy = Continuity(renewing.limits if renewing is not None else RenewalLimits(), random)
        self._history = History()
        self._start_ns = 0
        self._answered_ns = 0  # the newest answer that is over: its first audio
        self._leg: Leg | None = None
        self._cancel: Callable[[], object] | None = None  # of the try under way
        # Of a renewal under way.
        self._cause = Cause.CUT
        self._detail = ""
        self._attempt: Attempt | None = None
        self._tries = 0
        self._lost_ns = 0
        self._taken = 0
        self._broke_off = False
        self._partial = (0, "")  # the segment of the answer that broke off last, and how much of it came
        self._failure: ModelFailure | None = None  # for which the call ends when the agent has been heard out
        # Where the handle is: the service counts messages.
        self._handle_at = 0
        self._exact = False
        self._base = -1  # what it counts before the first message after setup; -1: it has not said
        self._given = (
            1,
            0,
        )  # what the session itself remembered when it began: until when, and which position
        self._anchor = (0, 0)  # messages sent in this session and the position behind them

    # -- what the session tells --

    @property
    def under_way(self) -> bool:
        """There is no session now, and one is being opened."""
        return self._attempt is not None

    @property
    def looks_from_ns(self) -> int:
        """When to `tick` at the latest."""
        return self._policy.looks_from_ns if self._leg is not None else 0

    def began(self, leg: Leg, now_ns: int) -> None:
        """The first session is there."""
        self._leg = leg
        self._policy.began(now_ns)

    def stream_started(self, now_ns: int) -> None:
        self._start_ns = now_ns

    def anchored(self, messages: int) -> None:
        """So many messages went up since the session began, and all that came was in them."""
        self._anchor = (messages, self._talk.up.samples)

    def told(self, body: Body) -> None:
        """An event of the call."""
        if isinstance(body, TranscriptSegment):
            known, text = self._partial
            self._history.add(replace(body, text=text) if body.segment_id == known else body)
        elif isinstance(body, TurnCompleted) and body.first_audio_ms >= 0:
            self._answered_ns = self._start_ns + body.first_audio_ms * 1_000_000

    def model_says(self, message: gemini.ServerMessage, now_ns: int) -> None:
        """A frame with goAway, a resumption update or usage."""
        if message.go_away_ms >= 0:
            self._log.info("the model will close the connection", left_ms=message.go_away_ms)
            self._policy.go_away(message.go_away_ms, now_ns)
        if message.resumption is not None:
            self._on_update(message.resumption, message.consumed, now_ns)
        if message.prompt_tokens >= 0 and self._policy.prompted(message.prompt_tokens):
            self._begin(Cause.FORGOTTEN, "the resumed session had forgotten", now_ns, how=Renewal.FRESH)

    def _on_update(self, handle: str, consumed: int, now_ns: int) -> None:
        if consumed >= 0 and self._base < 0:
            self._base = consumed  # it comes with setupComplete
        if not handle:
            self._policy.updated("", now_ns)
            return
        until_ns = now_ns
        self._exact = consumed >= 0 and consumed >= self._base
        self._handle_at = self._talk.up.samples
        if self._exact:
            messages, samples = self._anchor
            sent = messages + (self._handle_at - samples) // _FRAME
            if consumed - self._base > sent:  # it has got messages that we know nothing of: texts
                messages += consumed - self._base - sent
                self._anchor = (messages, samples)
            self._handle_at = samples + max(consumed - self._base - messages, 0) * _FRAME
            if consumed - self._base < messages:  # not what the session was told
                until_ns = self._given[0]
        elif now_ns - self._policy.adopted_ns < _FIRST_HANDLE_NS:
            until_ns, self._handle_at = self._given
        self._policy.updated(handle, until_ns)
        if self._renewing is not None:
            self._renewing.kept(handle)

    # -- when --

    def tick(self, now_ns: int) -> None:
        if self._failure is not None:
            if now_ns >= self._talk.playout.end_ns:
                self._failed(self._failure, now_ns)
            return
        if self.under_way:
            if now_ns >= self._policy.gives_up_ns:
                self._stop()
                self._give_up(ModelFailure(0, "no session in time", retryable=True), now_ns)
            return
        if self._leg is None:
            return
        cause = self._policy.due(now_ns, pause=self._pause())
        if cause is not None:
            self._begin(cause, "", now_ns)

    def lost(self, failure: ModelFailure, now_ns: int) -> bool:
        """The model's socket is gone. False: nothing can be done about it."""
        if self._renewing is None:
            return False
        self._leg = None
        if not self._begin(Cause.CUT, str(failure), now_ns, code=failure.code):
            self._break_off(now_ns)
            self._connect(_LIMBO)
            self._give_up(failure, now_ns)
        return True

    def renew(self, how: Renewal, why: str, now_ns: int) -> bool:
        """Put another session under the call now. False: one is on its way, or the call has had its share."""
        return self._leg is not None and self._begin(Cause.ASKED, why, now_ns, how=how)

    def let_go(self) -> None:
        """The call is over: nothing is opened for it, and nothing of who made this is held."""
        self._stop()
        if self._renewing is not None:
            self._renewing.kept("")
        self._leg = None
        self._connect = _into_limbo
        self._failed = self._emit = self._model_closed = self.model_frame = nobody

    def _pause(self) -> bool:
        """Nobody speaks, and nobody waits for an answer or a function's."""
        talk = self._talk
        return not (
            talk.conversation.turns.generating
            or talk.up.speech.speaking
            or talk.desk.pending
            or self._unanswered_ns() > self._policy.handle_ns
        )

    def _unanswered_ns(self) -> int:
        """When the caller began to say what the agent has not answered; 0: nothing."""
        speech, turn = self._talk.up.speech, self._talk.conversation.turns.current
        if turn is not None and turn.began_ns > speech.since_ns:
            return speech.started_ns if speech.started_ns > turn.began_ns else 0
        return speech.since_ns

    # -- how --

    def _begin(
        self, cause: Cause, detail: str, now_ns: int, *, how: Renewal | None = None, code: int = 0
    ) -> bool:
        if self._renewing is None or self.under_way:
            return False
        if how is None and self._forgets():
            how = Renewal.FRESH
        attempt = self._policy.begin(now_ns, how, code)
        if attempt is None:
            return False
        self._cause, self._detail, self._tries = cause, detail, 0
        self._lost_ns, self._taken = now_ns, self._talk.up.samples
        leg, self._leg = self._leg, None
        if leg is not None:
            leg.close(CloseCode.NORMAL, "")
        self._break_off(now_ns)
        self._talk.desk.session_lost()
        self._connect(_LIMBO)
        self._try(attempt, leg)
        return True

    def _forgets(self) -> bool:
        """A resumed session would not remember all that was said, nor could it be told; a fresh one can."""
        return (
            bool(self._policy.handle)
            and not self._can_tell
            and self._seeds
            and bool(self._to_tell(Attempt(Renewal.RESUME)))
        )

    def _break_off(self, now_ns: int) -> None:
        """No more comes of what the agent was saying; what came is played."""
        talk = self._talk
        running = talk.conversation.turns
        turn = running.current
        self._broke_off = turn is not None and running.generating
        if turn is not None and self._broke_off:
            segment = talk.conversation.transcript.open(Speaker.AGENT)
            if segment is not None:
                at = likely_length(segment.parts, segment.received, turn.samples)
                text = "".join(segment.parts)
                self._partial = (segment.id, text[:at].strip())
                # The last audio may come long after the words, with turnComplete.
                self._broke_off = at < len(text.rstrip()) or not _SENTENCE_END.search(text)
            turn.cut_at(turn.first + turn.samples, generated=False)
        running.generated()
        talk.agent.mark_end()
        talk.agent.forget()
        running.complete(now_ns, talk.playout.end_ns)

    def _try(self, attempt: Attempt, after: Leg | None) -> None:
        assert self._renewing is not None, "only a call that can be given a session tries to get one"
        self._attempt = attempt
        self._tries += 1
        self._renewing.counts.tries += 1
        history = attempt.how is Renewal.FRESH and self._seeds and bool(self._to_tell(attempt))
        order = Order(attempt.handle, history, attempt.delay_ns, after)
        self._cancel = self._renewing.reopen(order, self)

    @property
    def _can_tell(self) -> bool:
        """What was said can be told to a session at any time."""
        return self._model is not None and self._model.client_content is ClientContent.ANY_TIME

    @property
    def _seeds(self) -> bool:
        """What was said can be told to a session at its beginning."""
        return self._model is not None and self._model.history_config

    def open_failed(self, failure: ModelFailure, now_ns: int) -> None:
        """The next session could not be opened."""
        self._cancel = None
        if self._attempt is None:
            return
        self._log.info("the next session was not opened", how=self._attempt.how.value, reason=str(failure))
        attempt = self._policy.failed(failure.code, retryable=failure.retryable, now_ns=now_ns)
        if attempt is None:
            self._give_up(failure, now_ns)
        else:
            self._try(attempt, None)

    def model_closed(self, failure: ModelFailure, now_ns: int) -> None:
        """The socket of the session that is there now is gone."""
        self._model_closed(failure, now_ns)

    def model_ready(self, leg: Leg, connect_ms: int, setup_ms: int, now_ns: int) -> None:
        """The next session is there: it hears what it must, and the call goes on with it."""
        attempt, self._attempt, self._cancel = self._attempt, None, None
        if attempt is None or self._renewing is None:
            leg.close(CloseCode.NORMAL, "")
            return
        counts, seam = self._renewing.counts, self._seam(now_ns, attempt)
        replay_from = seam.replay_from if attempt.replay else seam.samples
        messages = list(self._words(attempt, counts))
        self._given = (max(seam.handle_ns, 1), seam.handle_at)
        self._policy.adopted(attempt.how, now_ns)
        self._leg, self._base = leg, -1
        sends = self._connect(leg)
        for message in messages:
            sends.send_text(message)
        self._replay(seam.samples - replay_from, sends, now_ns)
        self._anchor = (len(messages), replay_from)
        gap_ns = now_ns - self._lost_ns
        counts.gap.observe(gap_ns // 1000)
        counts.replayed_samples += seam.samples - replay_from
        counts.lost_samples += replay_from - seam.wanted
        counts.go_on += self._broke_off
        outcome = Outcome.RESUMED if attempt.how is Renewal.RESUME else Outcome.FRESH
        self._count(outcome)
        replayed_ms = (seam.samples - replay_from) // 8
        self._log.info(
            "the model's session was renewed",
            cause=self._cause.value,
            outcome=outcome.value,
            gap_ms=gap_ns // 1_000_000,
            replayed_ms=replayed_ms,
            tries=self._tries,
            detail=self._detail,
        )
        self._emit(
            SessionRenewed(
                self._cause.value,
                attempt.how is Renewal.RESUME,
                gap_ns // 1_000_000,
                replayed_ms,
                self._tries,
                self._detail,
            ),
            now_ns,
        )

    def _seam(self, now_ns: int, attempt: Attempt) -> Seam:
        talk, policy = self._talk, self._policy
        turn = talk.conversation.turns.current
        resumed = attempt.how is Renewal.RESUME
        return Seam(
            now_ns=now_ns,
            samples=talk.up.samples,
            kept=KEPT,
            taken=self._taken,
            handle_ns=policy.handle_ns if resumed else 0,
            handle_at=self._handle_at if resumed else 0,
            exact=self._exact,
            answered_ns=max(self._answered_ns, turn.began_ns if turn is not None else 0),
            unanswered_ns=self._unanswered_ns(),
        )

    def _replay(self, samples: int, leg: Leg, now_ns: int) -> None:
        """Say the newest `samples` of the caller's again."""
        if samples <= 0:
            return
        talk = self._talk
        kept = talk.up.recent(samples + _WARM_UP)
        encoder = talk.codecs.uplink(gemini.audio_head(talk.codecs.uplink_rate))
        first = len(kept) - samples
        if first:
            before = b64encode(kept[:first])
            encoder.encode(before, 0, len(before), now_ns)
        for start in range(first, len(kept), _FRAME):
            audio = b64encode(kept[start : start + _FRAME])
            offset = encoder.encode(audio, 0, len(audio), now_ns) & OFFSET
            if offset:
                leg.send(TEXT, encoder.buffer, offset)

    def _to_tell(self, attempt: Attempt) -> list[Said]:
        """What was said that the session will not remember."""
        if not attempt.tell:
            return []
        since_ms = -1
        if attempt.how is Renewal.RESUME and self._start_ns:
            since_ms = max((self._policy.handle_ns - self._start_ns) // 1_000_000, -1)
        return [*self._history.since(since_ms), *self._open_words(attempt)]

    def _open_words(self, attempt: Attempt) -> Iterator[Said]:
        """Of turns whose segments are not over."""
        conversation = self._talk.conversation
        since_ns = self._policy.handle_ns if attempt.how is Renewal.RESUME else 0
        for segment, turn in conversation.heard.waiting:
            if turn.began_ns > since_ns:
                yield Said(True, conversation.heard.words(segment, turn)[0])
        caller = conversation.transcript.open(Speaker.CALLER)
        if caller is not None and caller.opened_ns > since_ns and not self._unanswered_ns():
            yield Said(False, caller.text)
        turn_now = conversation.turns.current
        agent = conversation.transcript.open(Speaker.AGENT)
        if agent is not None and turn_now is not None and agent.opened_ns > since_ns:
            known, text = self._partial
            yield Said(True, text if agent.id == known else conversation.heard.words(agent, turn_now)[0])

    def _words(self, attempt: Attempt, counts: RenewalCounts) -> Iterator[bytes]:
        """What the next session is told, before it hears anything."""
        talk = self._talk
        said = turns(self._to_tell(attempt))
        counts.told += len(said)
        seeded = attempt.how is Renewal.FRESH and self._seeds
        if said and (seeded or self._can_tell):
            yield gemini_history.content(said, complete=seeded)
        silent = not talk.playout.sent and not talk.agent.held
        if self._broke_off:
            heard = next((each.text for each in reversed(said) if each.agent), "")
            yield gemini_history.text(gemini_history.go_on(heard, self._asked(said)))
        elif silent and talk.greeting.asked and not said:
            yield gemini.say(talk.greet)
        elif not attempt.replay and self._unanswered_ns():
            caller = talk.conversation.transcript.open(Speaker.CALLER)
            if caller is not None:
                yield gemini_history.text(caller.text)

    def _asked(self, said: Sequence[Said]) -> str:
        """What the answer that broke off was an answer to, for a session that was not told."""
        caller = self._talk.conversation.transcript.open(Speaker.CALLER)
        return caller.text if caller is not None and not said else ""

    def _stop(self) -> None:
        cancel, self._cancel, self._attempt = self._cancel, None, None
        if cancel is not None:
            cancel()

    def _give_up(self, failure: ModelFailure, now_ns: int) -> None:
        """The call ends, but not in the middle of what the agent has said."""
        self._attempt = None
        self._count(Outcome.FAILED)
        self._log.warning("the model's session can't be renewed", reason=str(failure), tries=self._tries)
        if now_ns >= self._talk.playout.end_ns:
            self._failed(failure, now_ns)
        else:
            self._failure = failure

    def _count(self, outcome: Outcome) -> None:
        if self._renewing is not None:
            self._renewing.counts.renewals[self._cause, outcome] += 1


def _into_limbo(leg: Leg) -> Leg:
    return _LIMBO
