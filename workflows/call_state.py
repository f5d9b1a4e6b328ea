"""What a call's signals and timers mean: pure decisions, no Temporal, no clock.

Feed every fact to CallState with `now` (seconds since the Unix epoch); read `status`, `over`, `deadline` and
the ids afterwards. `deadline` names the one limit to wait for; when it passes, call `expired(limit, now)`.
Facts may come twice, late or in any order: what the tables below don't allow is ignored. Once `over`, only
`call_sid`, `strays`, `leg_over` and `stream_over` still change, because cleaning up needs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from workflows.contracts import (
    CallStatus,
    EndReason,
    MachineDetected,
    OnVoicemail,
    StreamEnded,
    StreamStarted,
    TwilioStatus,
)


class Limit(StrEnum):
    """Every wait of a call that must not last for ever."""

    QUEUE = "queue"  # dialed, but no callback says that it rings
    RING = "ring"
    STREAM = "stream"  # answered, but no media stream
    DURATION = "duration"  # since the answer
    FINAL_CALLBACK = "final_callback"  # the stream is over; Twilio should say how the call ended
    MESSAGE = "message"  # the stream is over, because Twilio leaves a message and hangs up


class Away(StrEnum):
    """What Twilio does with the call while it has no stream. Nothing else is asked of the line meanwhile."""

    KEYS = "keys"
    DIALING = "dialing"  # the person of a cold transfer
    MESSAGE = "message"  # the call ends after it
    TRANSFERRED = "transferred"  # the call ends when one of the two hangs up


@dataclass(frozen=True)
class Limits:
    """Seconds of each Limit but DURATION, which every call brings along."""

    # Twilio places one call a second for each account and holds the others back: 150 s is a queue of 150
    # calls. With the ring limit it stays under the life of a prepared session (PREPARED_FOR_S).
    queue_s: float = 150.0
    # Twilio is told to ring for 30 s and may add 5; the rest is for callbacks that are late.
    ring_s: float = 60.0
    # Twilio fetches TwiML for at most 15 s; then the stream's handshake.
    stream_s: float = 20.0
    # Callbacks take a fraction of a second; a lost one should not hold the result back for long.
    final_callback_s: float = 5.0
    # 2000 bytes are two minutes of speech.
    message_s: float = 180.0


# A fact that happened longer ago than this counts from when it happened, not from when we heard of it: no
# worker was there to hear it. Below it, our own clock is finer than Twilio's whole seconds.
LATE_S = 2.0

# A prepared media session must outlive the longest wait for an answer: queue + ring, and some.
PREPARED_FOR_S = 240


@dataclass(frozen=True)
class Outcome:
    status: CallStatus
    end_reason: EndReason
    error: str = ""


_S = CallStatus
_R = EndReason

# Which status may follow which. Statuses only move towards the end, so a late callback can't take one back.
NEXT: dict[CallStatus, frozenset[CallStatus]] = {
    _S.INITIATED: frozenset(set(_S) - {_S.INITIATED}),
    _S.RINGING: frozenset(set(_S) - {_S.INITIATED, _S.RINGING}),
    _S.IN_PROGRESS: frozenset({_S.COMPLETED, _S.FAILED, _S.CANCELED, _S.BUSY, _S.NO_ANSWER}),
    _S.COMPLETED: frozenset(),
    _S.BUSY: frozenset(),
    _S.NO_ANSWER: frozenset(),
    _S.FAILED: frozenset(),
    _S.CANCELED: frozenset(),
}

# Twilio's words for a call under way, and for one that is over.
PROGRESS: dict[str, CallStatus] = {
    "initiated": _S.INITIATED,
    "ringing": _S.RINGING,
    "in-progress": _S.IN_PROGRESS,
}
FINAL: dict[str, Outcome] = {
    "completed": Outcome(_S.COMPLETED, _R.CALLER_HANGUP),
    "busy": Outcome(_S.BUSY, _R.BUSY),
    "no-answer": Outcome(_S.NO_ANSWER, _R.NO_ANSWER),
    "failed": Outcome(_S.FAILED, _R.DIAL_FAILED, "Twilio could not connect the call"),
    "canceled": Outcome(_S.CANCELED, _R.CANCELED),
}

# Why a media stream ended; None: the telephone call is ending too, and Twilio's callback will say how.
STREAM_END: dict[str, Outcome | None] = {
    "stop": None,
    "socket_closed": None,
    "requested": Outcome(_S.COMPLETED, _R.TERMINATED, "the media leg was ended at its node"),
    "agent_ended": Outcome(_S.COMPLETED, _R.AGENT_HANGUP),
    "model_failed": Outcome(_S.FAILED, _R.MODEL_FAILED, "the model's session broke"),
    "expired": Outcome(_S.FAILED, _R.MEDIA_FAILED, "the prepared media session expired"),
    "drain": Outcome(_S.FAILED, _R.MEDIA_FAILED, "the media node shut down"),
}

EXPIRED: dict[Limit, Outcome] = {
    Limit.QUEUE: Outcome(_S.NO_ANSWER, _R.NO_ANSWER, "Twilio took the call but never said that it rings"),
    Limit.RING: Outcome(_S.NO_ANSWER, _R.NO_ANSWER),
    Limit.STREAM: Outcome(_S.FAILED, _R.MEDIA_FAILED, "answered, but no media stream arrived"),
    Limit.DURATION: Outcome(_S.COMPLETED, _R.MAX_DURATION),
    Limit.FINAL_CALLBACK: Outcome(_S.COMPLETED, _R.CALLER_HANGUP),
    Limit.MESSAGE: Outcome(_S.COMPLETED, _R.VOICEMAIL),
}

# How a call ended that did so while Twilio had it.
AWAY_END: dict[Away, EndReason] = {Away.MESSAGE: _R.VOICEMAIL, Away.TRANSFERRED: _R.TRANSFERRED}

# Verdicts of Twilio's detection after which nobody will talk; `unknown` and `human` are taken for people.
# With `machine_start` the machine's greeting has only begun, and a message would be talked over.
MACHINES = frozenset({"machine_start", "machine_end_beep", "machine_end_silence", "machine_end_other", "fax"})
LISTENING = MACHINES - {"machine_start", "fax"}


@dataclass(frozen=True)
class Deadline:
    at: float
    limit: Limit


class CallState:
    """One call's status, how it ended, and what it waits for."""

    def __init__(
        self, *, max_duration_s: float, limits: Limits | None = None, on_voicemail: str = ""
    ) -> None:
        self._max_duration_s = max_duration_s
        self._on_voicemail = on_voicemail
        self._limits = limits or Limits()
        self._deadlines: dict[Limit, float] = {}
        self.status = CallStatus.INITIATED
        self.end_reason: EndReason | None = None
        self.error = ""
        self.call_sid = ""
        self.stream_sid = ""
        self.node_id = ""
        self.answered_at: float | None = None
        self.ended_at: float | None = None
        self.leg_over = False  # Twilio said that the telephone call is over
        self.stream_over = False  # the media node said that the stream is over
        self.strays: list[str] = []  # calls placed for us besides `call_sid`: each must be hung up
        self.away: Away | None = None
        self.ringing_person = ""  # sid of the call to the person of a warm transfer; `?`: not known yet
        self.answered_by = ""  # Twilio's detection

    @property
    def over(self) -> bool:
        return self.end_reason is not None

    @property
    def leg_may_be_up(self) -> bool:
        return bool(self.call_sid) and not self.leg_over

    @property
    def live(self) -> bool:
        """There is a stream, and it may be made to leave."""
        return bool(self.stream_sid) and not (self.over or self.stream_over or self.leg_over)

    @property
    def busy(self) -> bool:
        """Something on the line would be cut short by anything else that is asked of it."""
        return self.away is not None or bool(self.ringing_person)

    @property
    def deadline(self) -> Deadline | None:
        """The next limit to wait for; None: only a fact can move this call on."""
        if self.over or not self._deadlines:
            return None
        limit = min(self._deadlines, key=lambda name: self._deadlines[name])
        return Deadline(self._deadlines[limit], limit)

    @property
    def duration_s(self) -> float:
        """From the answer to the end; 0 for a call that nobody answered."""
        if self.answered_at is None or self.ended_at is None:
            return 0.0
        return max(0.0, self.ended_at - self.answered_at)

    # -- facts ---------------------------------------------------------------------------------------------

    def arrived(self, call_sid: str, now: float) -> None:
        """Somebody calls; they hear it ring until their stream can be taken."""
        self._take_sid(call_sid)
        if self.answered_at is None and not self.over:
            self._deadlines[Limit.RING] = now + self._limits.ring_s
            self._move(CallStatus.RINGING)

    def prepared(self, node_id: str) -> None:
        self.node_id = self.node_id or node_id

    def prepare_failed(self, reason: EndReason, error: str, now: float) -> None:
        self._end(Outcome(CallStatus.FAILED, reason, error), now)

    def dialed(self, call_sid: str, now: float) -> None:
        self._take_sid(call_sid)
        if self.status is CallStatus.INITIATED and Limit.RING not in self._deadlines:
            self._deadlines[Limit.QUEUE] = now + self._limits.queue_s

    def dial_failed(self, error: str, now: float) -> None:
        """Twilio never took the call; one whose callbacks arrive all the same was taken, and goes on."""
        if not self.call_sid:
            self._end(Outcome(CallStatus.FAILED, EndReason.DIAL_FAILED, error), now)

    def twilio_status(self, callback: TwilioStatus, now: float) -> None:
        self._take_sid(callback.call_sid)
        if callback.call_sid and callback.call_sid != self.call_sid:
            return
        outcome = FINAL.get(callback.status)
        if outcome is not None:
            self.leg_over = True
            ended_at = _happened(callback.timestamp, now)
            if callback.status == "completed" and self.answered_at is None and not self.over:
                # Its `in-progress` was lost or is late: a completed call was answered.
                self.answered_at = ended_at - (callback.duration_seconds or 0)
            error = _failure(outcome.error, callback) if callback.status == "failed" else ""
            reason = outcome.end_reason
            if callback.status == "completed" and self.away is not None:
                reason = AWAY_END.get(self.away, reason)
            self._end(Outcome(outcome.status, reason, error), ended_at)
            return
        status = PROGRESS.get(callback.status)
        if status is None or self.over:
            return
        if status is CallStatus.IN_PROGRESS:
            self._answered(_happened(callback.timestamp, now), now)
        elif self.answered_at is None:
            # `initiated` says that Twilio's queue let it go: from here it rings, or soon will.
            self._deadlines.pop(Limit.QUEUE, None)
            self._deadlines.setdefault(Limit.RING, now + self._limits.ring_s)
            self._move(status)

    def stream_started(self, started: StreamStarted, now: float) -> None:
        self._take_sid(started.call_sid)
        if self.over or (self.stream_sid == started.stream_sid and self.node_id == started.source):
            return
        self.node_id = started.source
        self.stream_sid = started.stream_sid
        if self.away in (Away.KEYS, Away.DIALING):
            self.away = None
        self._answered(_happened(started.at, now), now)
        self._deadlines.pop(Limit.STREAM, None)

    def stream_ended(self, ended: StreamEnded, now: float) -> None:
        if ended.source != self.node_id or self.stream_over:
            return  # a session prepared elsewhere and abandoned, or told twice
        self.stream_over = True
        self._deadlines.pop(Limit.STREAM, None)
        if self.away in AWAY_END:
            return  # as it must: Twilio goes on with the call without us
        outcome = STREAM_END.get(
            ended.reason,
            Outcome(CallStatus.FAILED, EndReason.MEDIA_FAILED, f"the media leg ended: {ended.reason}"),
        )
        if outcome is None:
            if not self.over:
                self.ended_at = _happened(ended.at, now)
                self._deadlines = {Limit.FINAL_CALLBACK: now + self._limits.final_callback_s}
            return
        if outcome.end_reason is EndReason.AGENT_HANGUP and self.end_reason is EndReason.CALLER_HANGUP:
            # Twilio goes on to hang up once its stream is closed, and its callback was faster.
            self.end_reason = EndReason.AGENT_HANGUP
        error = outcome.error
        if error and ended.detail:
            error = f"{error}: {ended.detail}"
        self._end(Outcome(outcome.status, outcome.end_reason, error), now)

    def machine_detected(self, told: MachineDetected, now: float) -> OnVoicemail | None:
        """Twilio's verdict; answers what is to be done about it, HANG_UP being done already."""
        self._take_sid(told.call_sid)
        if self.over or self.answered_by or told.call_sid != self.call_sid:
            return None
        self.answered_by = told.answered_by
        if told.answered_by not in MACHINES or not self._on_voicemail:
            return None
        if self._on_voicemail == OnVoicemail.IGNORE:
            return OnVoicemail.IGNORE
        if self._on_voicemail == OnVoicemail.LEAVE_MESSAGE and told.answered_by in LISTENING:
            return OnVoicemail.LEAVE_MESSAGE
        self._end(Outcome(CallStatus.COMPLETED, EndReason.VOICEMAIL), now)
        return OnVoicemail.HANG_UP

    def leaves(self, what: Away, now: float, within_s: float = 0.0) -> None:
        """Twilio is about to take the call from its stream; a new one comes `within_s`, or none does."""
        self.away = what
        if what in (Away.KEYS, Away.DIALING):
            self._deadlines[Limit.STREAM] = now + within_s
        elif what is Away.MESSAGE:
            self._deadlines[Limit.MESSAGE] = now + self._limits.message_s

    def stays(self) -> None:
        """Twilio was not told after all: the stream goes on."""
        self.away = None
        self._deadlines.pop(Limit.STREAM, None)
        self._deadlines.pop(Limit.MESSAGE, None)

    def handed_over(self) -> None:
        """A person has taken the call: no stream comes back."""
        if not self.over:
            self.away = Away.TRANSFERRED
            self._deadlines.pop(Limit.STREAM, None)

    def terminate(self, now: float) -> None:
        answered = self.answered_at is not None
        status = CallStatus.COMPLETED if answered else CallStatus.CANCELED
        self._end(Outcome(status, EndReason.TERMINATED), now)

    def expired(self, limit: Limit, now: float) -> None:
        if limit in self._deadlines:
            self._end(EXPIRED[limit], now)

    # -- rules ---------------------------------------------------------------------------------------------

    def _take_sid(self, call_sid: str) -> None:
        if not call_sid or call_sid == self.call_sid or call_sid in self.strays:
            return
        if self.call_sid:
            self.strays.append(call_sid)
        else:
            self.call_sid = call_sid

    def _answered(self, at: float, now: float) -> None:
        if self.answered_at is None:
            self.answered_at = at
            self._deadlines = {Limit.DURATION: now + self._max_duration_s}
            if not self.stream_sid:
                self._deadlines[Limit.STREAM] = now + self._limits.stream_s
        self._move(CallStatus.IN_PROGRESS)

    def _move(self, status: CallStatus) -> None:
        if status in NEXT[self.status]:
            self.status = status

    def _end(self, outcome: Outcome, now: float) -> None:
        if self.over:
            return
        assert outcome.status in NEXT[self.status], f"{self.status} to {outcome.status}: not in the table"
        self.status = outcome.status
        self.end_reason = outcome.end_reason
        self.error = outcome.error
        if self.ended_at is None:  # else: when the stream ended, which is when the caller was gone
            self.ended_at = now
        self._deadlines = {}


def _happened(at: str, now: float) -> float:
    """When something happened, by the ISO 8601 or RFC 2822 time it came with; `now` if that is just now."""
    try:
        moment = datetime.fromisoformat(at) if at[:1].isdigit() else parsedate_to_datetime(at)
        # RFC 2822's `-0000` leaves the zone open; Twilio means UTC.
        seconds = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError):
        return now
    return seconds if now - seconds > LATE_S else now


def _failure(sense: str, callback: TwilioStatus) -> str:
    details = [callback.error] if callback.error else []
    if callback.sip_code is not None:
        details.append(f"SIP {callback.sip_code}")
    return f"{sense} ({', '.join(details)})" if details else sense
