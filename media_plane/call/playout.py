"""What was sent to the caller's side, and what of it has been played there.

Twilio plays what it gets in order and in real time, without telling when. By our clock the end of everything
sent is known (`end_ns`); a mark, which Twilio returns when what was sent before it has been played, tells how
far behind our clock it really plays. A mark can come late for reasons of its own, never early: the smallest
lag seen since the buffer last ran dry is the one that counts. A mark that `clear` sent back, that comes twice
or that we never sent tells nothing and changes nothing.
"""

from __future__ import annotations

_NS_PER_SAMPLE = 125_000  # 8 kHz
_MARK_EVERY = 1600  # samples: 200 ms
_MAX_PENDING = 4096  # marks; 10 minutes at one every 200 ms is 3,000, and Twilio buffers no more than that


class Playout:
    """Samples are μ-law at 8 kHz. `end_ns`: when, by our clock, everything sent will have been played."""

    __slots__ = ("_base", "_lag_ns", "_marked", "_pending", "_serial", "end_ns", "marks_lost", "sent")

    def __init__(self) -> None:
        self.sent = 0  # samples, ever
        self.end_ns = 0
        self.marks_lost = 0  # forgotten because too many were never returned
        self._base = 0  # samples sent before the buffer last ran dry or was cleared
        self._lag_ns = -1  # -1: no mark came back since then
        self._marked = 0  # samples covered by a mark or a clear
        self._pending: dict[
            str, tuple[int, int]
        ] = {}  # mark → (samples sent before it, when played by our clock)
        self._serial = 0

    def write(self, samples: int, now_ns: int) -> None:
        """`samples` were written to Twilio at `now_ns`."""
        if now_ns >= self.end_ns:
            self.end_ns = now_ns
            self._base = self.sent
            self._lag_ns = -1
        self.end_ns += samples * _NS_PER_SAMPLE
        self.sent += samples

    def due_mark(self, *, turn_over: bool = False) -> str | None:
        """The name of a mark to send now: after 200 ms of audio, or with a turn's last audio."""
        since = self.sent - self._marked
        if since < _MARK_EVERY and not (turn_over and since):
            return None
        self._marked = self.sent
        self._serial += 1
        name = f"m{self._serial}"
        if len(self._pending) >= _MAX_PENDING:
            del self._pending[next(iter(self._pending))]
            self.marks_lost += 1
        self._pending[name] = (self.sent, self.end_ns)
        return name

    def returned(self, name: str, now_ns: int) -> bool:
        """Twilio returned a mark; False when it says nothing (cleared, twice, unknown)."""
        found = self._pending.pop(name, None)
        if found is None:
            return False
        samples, end_ns = found
        if samples > self._base and (self._lag_ns < 0 or now_ns - end_ns < self._lag_ns):
            self._lag_ns = max(now_ns - end_ns, 0)
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
        self._base = self._marked = self.sent
        self._lag_ns = -1
        self._pending.clear()
        return left
