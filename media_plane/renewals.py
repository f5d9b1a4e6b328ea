"""Renewals: puts the next session of the model's under a running call. Like the session it never awaits.

`call.continuity` says when and with which memory, `call.handover` what the next session must hear; the owner
of sockets opens it (`reopen`). In between the call has a model's leg that takes what it is given and does
nothing: the caller's audio is kept by its encoder, from where it is said again. What the agent has said
plays on.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from random import random

import structlog

from media_plane.agent_audio import nobody
from media_plane.call.continuity import Attempt, Cause, Continuity, Outcome, Renewal, RenewalLimits
from media_plane.call.handover import Seam
from media_plane.dsp.codec import KEPT, OFFSET
from media_plane.errors import CloseCode, ModelFailure
from media_plane.leg import TEXT, Leg
from media_plane.renewing import LIMBO, Order, Renewing, Talk
from media_plane.retelling import Retelling
from media_plane.wire import gemini
from media_plane.wire.events import Body, SessionRenewed, TranscriptSegment, TurnCompleted

log = structlog.get_logger(__name__)

_FRAME = 160  # samples a message of what is said again, as of audio that comes: the service counts messages
_WARM_UP = 160  # samples before them, for the filter's memory
# A handle that comes with setupComplete was made before the session was told or heard anything.
_FIRST_HANDLE_NS = 1_000_000_000


class Renewals:
    """`connect` puts a leg under the session and returns the one to send to; `failed` is told when the call
    must end for want of a model. It is the `ModelUser` of every session but the first."""

    __slots__ = (
        *(
            "_anchor",
            "_answered_ns",
            "_attempt",
            "_base",
            "_cancel",
            "_cause",
            "_connect",
            "_detail",
            "_emit",
        ),
        *("_exact", "_failed", "_failure", "_given", "_handle_at", "_leg", "_log", "_lost_ns"),
        *("_model_closed", "_policy", "_renewing", "_retelling", "_seeded", "_taken", "_talk", "_tries"),
        "model_frame",
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
        self._retelling = Retelling(model, talk)
        self._connect = connect
        self._failed = failed
        self._emit = emit
        self._log = log.bind(workflow_id=workflow_id)
        self._policy = Continuity(renewing.limits if renewing is not None else RenewalLimits(), random)
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
        self._seeded = False  # the setup announces a history
        self._failure: ModelFailure | None = None  # for which the call ends when the agent has been heard out
        # Where the handle is: the service counts messages.
        self._handle_at = 0
        self._exact = False
        self._base = -1  # what it counts before the first message after setup; -1: it has not said
        self._given = (1, 0)  # until when, and which position, the session remembered when it began
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
        self._retelling.start_ns = now_ns

    def anchored(self, messages: int) -> None:
        """So many messages went up since the session began, and all that came was in them."""
        self._anchor = (messages, self._talk.up.samples)

    def told(self, body: Body) -> None:
        """An event of the call."""
        if isinstance(body, TranscriptSegment):
            self._retelling.add(body)
        elif isinstance(body, TurnCompleted) and body.first_audio_ms >= 0:
            self._answered_ns = self._retelling.start_ns + body.first_audio_ms * 1_000_000

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
        answering = self._talk.conversation.turns.generating
        cause = self._policy.due(now_ns, pause=self._pause(), answering=answering)
        if cause is not None:
            self._begin(cause, "", now_ns)

    def lost(self, failure: ModelFailure, now_ns: int) -> bool:
        """The model's socket is gone. False: nothing can be done about it."""
        if self._renewing is None:
            return False
        self._leg = None
        if not self._begin(Cause.CUT, str(failure), now_ns, code=failure.code):
            self._retelling.break_off(now_ns)
            self._connect(LIMBO)
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
            or self._retelling.unanswered_ns() > self._policy.handle_ns
        )

    # -- how --

    def _begin(
        self, cause: Cause, detail: str, now_ns: int, *, how: Renewal | None = None, code: int = 0
    ) -> bool:
        if self._renewing is None or self.under_way:
            return False
        if how is None and self._policy.handle and self._retelling.forgets(self._policy.handle_ns):
            how = Renewal.FRESH
        attempt = self._policy.begin(now_ns, how, code)
        if attempt is None:
            return False
        self._cause, self._detail, self._tries = cause, detail, 0
        self._lost_ns, self._taken = now_ns, self._talk.up.samples
        leg, self._leg = self._leg, None
        if leg is not None:
            leg.close(CloseCode.NORMAL, "")
        self._retelling.break_off(now_ns)
        self._talk.desk.session_lost()
        self._connect(LIMBO)
        self._try(attempt, leg)
        return True

    def _try(self, attempt: Attempt, after: Leg | None) -> None:
        assert self._renewing is not None, "only a call that can be given a session tries to get one"
        self._attempt = attempt
        self._tries += 1
        self._renewing.counts.tries += 1
        fresh = attempt.how is Renewal.FRESH
        self._seeded = fresh and self._retelling.seeds and bool(self._retelling.to_tell(attempt, 0))
        order = Order(attempt.handle, self._seeded, attempt.delay_ns, after)
        self._cancel = self._renewing.reopen(order, self)

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
        messages, told = self._retelling.words(attempt, self._policy.handle_ns, seeded=self._seeded)
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
        counts.told += told
        counts.go_on += self._retelling.broke_off
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
            unanswered_ns=self._retelling.unanswered_ns(),
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
    return LIMBO
