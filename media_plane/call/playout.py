"""The ledger of what was sent to the caller's side, and what of it has been played there.

Twilio plays what it gets in order and in real time, without telling when. By our clock the end of everything
sent is known (`end_ns`); a mark, which Twilio returns when what was sent before it has been played, tells how
far behind our clock it plays, plus the way to Twilio and back. That way is known, too: a mark sent while
nothing is queued (a probe) comes back at once. The way there needs no correction: what is sent to silence the
agent takes as long as its audio did.

A mark can come late for reasons of its own, never early: the smallest lag of the last few counts. A mark
that `clear` sent back, that comes twice or that we never sent tells nothing and changes nothing; when all are
lost, the caller's side plays as far behind as it last did.

A mark is named for the sample it stands behind, so that nothing but that number has to be remembered of it.
What is taken back and sent again counts twice in these names: each is given once.
"""

from __future__ import annotations

_NS_PER_SAMPLE = 125_000  # 8 kHz
_MARK_EVERY = 1600  # samples: 200 ms, while the lag is being learned
_LEARNING = 8000  # samples after the buffer ran dry: 1 s, five marks, of which some may be lost
_MARK_EVERY_LATER = 16000  # 2 s: each mark costs two messages, as much as two audio frames
_MAX_PENDING = 1024  # marks; 10 minutes at one in 2 s is 300, and Twilio buffers no more than that
_FEW = 4  # marks; the smallest lag of the last four to eight counts, so that a hole in the audio shows
_ENOUGH = 4  # marks that tell more than what was usual before: fewer may all be late
_SURE = 6  # that tell much more than that
_MUCH_NS = 60_000_000
_PROBES = 3  # sent soon, as one may be late
_PROBE_SOON_NS = 1_000_000_000
_PROBE_EVERY_NS = 30_000_000_000
_SURELY_DRY_NS = 1_000_000_000
_ROUND_TRIP_NS = 100_000_000  # as long as it is not known
_UNKNOWN = 1 << 62


class Playout:
    """Samples are μ-law at 8 kHz. `end_ns`: when, by our clock, everything sent will have been played."""

    __slots__ = (
        *("_again", "_base", "_count", "_due", "_lag_ns", "_marked", "_older_lag_ns", "_pending", "_probe"),
        *("_probed_ns", "_round_trip_ns", "_taken_at", "_taken_ns", "_usual_ns"),
        *("end_ns", "marks_lost", "sent"),
    )

    def __init__(self) -> None:
        self.sent = 0  # samples, ever
        self.end_ns = 0
        self.marks_lost = 0  # forgotten because too many were never returned
        self._again = 0  # samples that were taken back
        self._taken_ns = 0  # when some were last, and how many samples were left as sent
        self._taken_at = 0
        self._base = 0  # samples sent before the buffer last ran dry or was cleared
        self._lag_ns = _UNKNOWN  # smallest of the last few marks since then
        self._older_lag_ns = _UNKNOWN  # and of those before them
        self._count = 0  # marks that came back since then
        self._usual_ns = 0  # how far behind it played before; Twilio plays what comes at once
        self._marked = 0  # samples covered by a mark or a clear
        self._due = _MARK_EVERY  # `sent` at which the next mark is due
        self._pending: dict[int, None] = {}  # samples before each mark that is out, oldest first
        self._probe = 0  # probes sent
        self._probed_ns = 0  # when the newest of them was
        self._round_trip_ns = _UNKNOWN  # the shortest yet

    def write(self, samples: int, now_ns: int) -> bool:
        """`samples` were written to Twilio at `now_ns`. True: a mark is due, which `due_mark` names."""
        if now_ns >= self.end_ns:
            self.end_ns = now_ns
            self._begin()
        self.end_ns += samples * _NS_PER_SAMPLE
        self.sent += samples
        return self.sent >= self._due

    def due_mark(self, *, turn_over: bool = False) -> str | None:
        """The name of a mark to send now: every 200 ms of audio in the first second, every 2 s after it,
        and with a turn's last audio."""
        if self.sent < self._due and not (turn_over and self.sent > self._marked):
            return None
        self._marked = self.sent
        learning = self.sent - self._base < _LEARNING
        self._due = self.sent + (_MARK_EVERY if learning else _MARK_EVERY_LATER)
        if len(self._pending) >= _MAX_PENDING:
            del self._pending[next(iter(self._pending))]
            self.marks_lost += 1
        number = self.sent + self._again
        self._pending[number] = None
        return f"m{number}"

    def due_probe(self, now_ns: int) -> str | None:
        """The name of a mark to send now, while nothing is queued: at the stream's start, soon again, and
        then every half a minute when the agent is silent."""
        pause_ns = _PROBE_SOON_NS if self._probe < _PROBES else _PROBE_EVERY_NS
        if self._probe and now_ns < max(self.end_ns + _SURELY_DRY_NS, self._probed_ns + pause_ns):
            return None
        self._probe += 1
        self._probed_ns = now_ns
        return f"p{self._probe}"

    def returned(self, name: str, now_ns: int) -> bool:
        """Twilio returned a mark; False when it says nothing (cleared, twice, unknown)."""
        digits = name[1:]
        if not (digits.isascii() and digits.isdecimal() and len(digits) < 19):
            return False
        number = int(digits)
        if name.startswith("p") and number == self._probe and self._probe:
            self._round_trip_ns = min(self._round_trip_ns, max(now_ns - self._probed_ns, 0))
            return True
        if not name.startswith("m") or number not in self._pending:
            return False
        del self._pending[number]
        position = number - self._again
        if position > self._base:
            self._learn(now_ns - (self.end_ns - (self.sent - position) * _NS_PER_SAMPLE))
        return True

    def left_ns(self, now_ns: int) -> int:
        """How much of what was sent has not been played."""
        left = self.end_ns + self._behind_ns() - now_ns
        return min(max(left, 0), (self.sent - self._base) * _NS_PER_SAMPLE)

    def played(self, now_ns: int) -> int:
        """Samples of all that was sent that have been played, or were cleared."""
        return self.sent - -(-self.left_ns(now_ns) // _NS_PER_SAMPLE)

    def played_when_gone(self, now_ns: int) -> int:
        """The same at the end of a call, of which we hear as late as of a mark: what we believe to have been
        played since was on its way."""
        way_ns = _ROUND_TRIP_NS if self._round_trip_ns == _UNKNOWN else self._round_trip_ns
        gone_ns = now_ns - way_ns
        unseen_ns = self._taken_ns - gone_ns  # they did not live to see it taken back, either
        if unseen_ns <= 0:
            return self.played(gone_ns)
        return max(min(self.played(gone_ns), self._taken_at - unseen_ns // _NS_PER_SAMPLE), 0)

    def clear(self, now_ns: int) -> int:
        """Twilio is told to drop what it has; returns how much that is, in ns. Outstanding marks are retired:
        Twilio returns them, which then means "cleared", not "played"."""
        left = self.left_ns(now_ns)
        self.end_ns = now_ns
        self._begin()
        self._marked = self.sent
        self._pending.clear()
        return left

    def take_back(self, now_ns: int) -> int:
        """As `clear`, but what Twilio has not played counts as not sent: it will be sent again. Returns after
        which sample."""
        played = self.played(now_ns)
        self.clear(now_ns)
        self._again += self.sent - played
        self.sent = self._base = self._marked = self._taken_at = played
        self._due = played + _MARK_EVERY
        self._taken_ns = now_ns
        return played

    def _learn(self, lag_ns: int) -> None:
        self._count += 1
        if self._count % _FEW == 0:
            self._older_lag_ns, self._lag_ns = self._lag_ns, lag_ns
        elif lag_ns < self._lag_ns:
            self._lag_ns = lag_ns

    def _behind_ns(self) -> int:
        """How far behind our clock it plays, the way there apart."""
        if not self._count or self._round_trip_ns == _UNKNOWN:
            return self._usual_ns
        behind = max(min(self._lag_ns, self._older_lag_ns) - self._round_trip_ns, 0)
        if self._count < _ENOUGH:
            return min(behind, self._usual_ns)  # rather late marks than a side that plays later than it did
        if self._count < _SURE and behind > self._usual_ns + _MUCH_NS:
            return self._usual_ns
        return behind

    def _begin(self) -> None:
        """What is sent from now on is played from now on."""
        if self._count >= _ENOUGH:
            self._usual_ns = self._behind_ns()
        self._base = self.sent
        self._due = self.sent + _MARK_EVERY
        self._lag_ns = self._older_lag_ns = _UNKNOWN
        self._count = 0
