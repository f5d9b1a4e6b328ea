"""What was sent to the caller's side, and what of it has been played there.

Twilio plays what it gets in order and in real time, without telling when. By our clock the end of everything
sent is known (`end_ns`); a mark, which Twilio returns when what was sent before it has been played, tells how
far behind our clock it really plays. A mark can come late for reasons of its own, never early: the smallest
lag seen since the buffer last ran dry is the one that counts. A mark that `clear` sent back, that comes twice
or that we never sent tells nothing and changes nothing.

A mark is named for the sample it stands behind, so that nothing but that number has to be remembered of it.
"""

from __future__ import annotations

_NS_PER_SAMPLE = 125_000  # 8 kHz
_MARK_EVERY = 1600  # samples: 200 ms, while the lag is being learned
_LEARNING = 8000  # samples after the buffer ran dry: 1 s, five marks, of which some may be lost
_MARK_EVERY_LATER = 8000  # each mark costs two messages, as much as two audio frames
_MAX_PENDING = 1024  # marks; 10 minutes at one a second is 600, and Twilio buffers no more than that


class Playout:
    """Samples are μ-law at 8 kHz. `end_ns`: when, by our clock, everything sent will have been played."""

    __slots__ = ("_base", "_due", "_lag_ns", "_marked", "_pending", "end_ns", "marks_lost", "sent")

    def __init__(self) -> None:
        self.sent = 0  # samples, ever
        self.end_ns = 0
        self.marks_lost = 0  # forgotten because too many were never returned
        self._base = 0  # samples sent before the buffer last ran dry or was cleared
        self._lag_ns = -1  # -1: no mark came back since then
        self._marked = 0  # samples covered by a mark or a clear
        self._due = _MARK_EVERY  # `sent` at which the next mark is due
        self._pending: dict[int, None] = {}  # samples before each mark that is out, oldest first

    def write(self, samples: int, now_ns: int) -> None:
        """`samples` were written to Twilio at `now_ns`."""
        if now_ns >= self.end_ns:
            self.end_ns = now_ns
            self._begin()
        self.end_ns += samples * _NS_PER_SAMPLE
        self.sent += samples

    @property
    def mark_is_due(self) -> bool:
        """Whether `due_mark` would name a mark in the middle of a turn."""
        return self.sent >= self._due

    def due_mark(self, *, turn_over: bool = False) -> str | None:
        """The name of a mark to send now: every 200 ms of audio in the first second, every second after it,
        and with a turn's last audio."""
        if self.sent < self._due and not (turn_over and self.sent > self._marked):
            return None
        self._marked = self.sent
        learning = self.sent - self._base < _LEARNING
        self._due = self.sent + (_MARK_EVERY if learning else _MARK_EVERY_LATER)
        if len(self._pending) >= _MAX_PENDING:
            del self._pending[next(iter(self._pending))]
            self.marks_lost += 1
        self._pending[self.sent] = None
        return f"m{self.sent}"

    def returned(self, name: str, now_ns: int) -> bool:
        """Twilio returned a mark; False when it says nothing (cleared, twice, unknown)."""
        digits = name[1:]
        if not (name.startswith("m") and digits.isascii() and digits.isdecimal() and len(digits) < 19):
            return False
        samples = int(digits)
        if samples not in self._pending:
            return False
        del self._pending[samples]
        if samples > self._base:
            lag_ns = now_ns - (self.end_ns - (self.sent - samples) * _NS_PER_SAMPLE)
            if self._lag_ns < 0 or lag_ns < self._lag_ns:
                self._lag_ns = max(lag_ns, 0)
        return True

    def left_ns(self, now_ns: int) -> int:
        """How much of what was sent has not been played."""
        left = self.end_ns + max(self._lag_ns, 0) - now_ns
        return min(max(left, 0), (self.sent - self._base) * _NS_PER_SAMPLE)

    def clear(self, now_ns: int) -> int:
        """Twilio is told to drop what it has; returns how much that is, in ns. Outstanding marks are retired:
        Twilio returns them, which then means "cleared", not "played"."""
        left = self.left_ns(now_ns)
        self.end_ns = now_ns
        self._begin()
        self._marked = self.sent
        self._pending.clear()
        return left

    def _begin(self) -> None:
        """What is sent from now on is played from now on."""
        self._base = self.sent
        self._due = self.sent + _MARK_EVERY
        self._lag_ns = -1
