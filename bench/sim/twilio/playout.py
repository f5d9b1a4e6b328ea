"""Twilio's playback of what a media server sends, as arithmetic on one sample clock.

Sample 0 is the answer; sample n is heard at `answered_ns + n * 125_000`. Audio that arrives when nothing is
queued is heard from the next sample on; otherwise it follows what is queued. No timer runs here: ask
`due_marks(now_ns)` for the marks whose audio has been played, and `next_mark_ns` for when to ask again.
"""

from __future__ import annotations

from collections import deque

from bench.sim.twilio.mulaw import NS_PER_SAMPLE, RATE

MAX_BUFFERED = 600 * RATE  # ten minutes, in samples; Twilio discards what comes on top (31931)
UNDERRUN_LIMIT = RATE // 5  # a gap shorter than 200 ms is a hole in speech, not a pause between turns


class Playout:
    """One callee's ear. All positions are samples since the answer."""

    def __init__(self, answered_ns: int) -> None:
        self._answered_ns = answered_ns
        self._end = 0  # everything queued has been played at this sample
        self._marks: deque[tuple[int, str]] = deque()
        self.underruns = 0
        self.underrun_samples = 0
        self.buffered_peak = 0  # samples

    def sample_at(self, now_ns: int) -> int:
        """The first sample that is not yet heard at `now_ns`."""
        return max(0, -(-(now_ns - self._answered_ns) // NS_PER_SAMPLE))

    def ns_at(self, sample: int) -> int:
        """When `sample` is heard (CLOCK_MONOTONIC, ns)."""
        return self._answered_ns + sample * NS_PER_SAMPLE

    def buffered(self, now_ns: int) -> int:
        """Samples queued and not yet heard."""
        return max(0, self._end - self.sample_at(now_ns))

    def play(self, now_ns: int, samples: int) -> int | None:
        """Queue that many samples. Returns where they begin, or None: the buffer is full, all dropped."""
        now = self.sample_at(now_ns)
        if self._end + samples - now > MAX_BUFFERED:
            return None
        start = max(now, self._end)
        gap = now - self._end
        if 0 < gap < UNDERRUN_LIMIT and self._end:
            self.underruns += 1
            self.underrun_samples += gap
        self._end = start + samples
        self.buffered_peak = max(self.buffered_peak, self._end - now)
        return start

    def mark(self, name: str) -> None:
        """Remember `name` at the end of what is queued; `due_marks` gives it back, at once if nothing is."""
        self._marks.append((self._end, name))

    def due_marks(self, now_ns: int) -> list[str]:
        """Marks whose audio has been played, in order; each is returned once."""
        due = []
        while self._marks and self.ns_at(self._marks[0][0]) <= now_ns:
            due.append(self._marks.popleft()[1])
        return due

    def next_mark_ns(self) -> int | None:
        """When the next mark falls due, if one is waiting."""
        return self.ns_at(self._marks[0][0]) if self._marks else None

    def clear(self, now_ns: int) -> tuple[int, int, list[str]]:
        """Drop what is not yet heard. Returns (first sample dropped, samples dropped, outstanding marks)."""
        now = self.sample_at(now_ns)
        dropped = max(0, self._end - now)
        self._end = min(self._end, now)
        marks = [name for _, name in self._marks]
        self._marks.clear()
        return now, dropped, marks
