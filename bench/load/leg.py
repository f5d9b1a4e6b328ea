"""One direction of one call as its two ends saw it: bursts sent, bursts heard, audio missing, gaps.

The sender calls `sent` just before a frame goes to its socket, the receiver `received` (or `passed`) with the
time at which its callback began; both times are CLOCK_MONOTONIC of the one load process. A burst starts at
the first sample of the frame that carries it, so `delays_ns` is: the frame with the burst handed to the
socket, until the message that holds the first loud sample came out at the other end. Frame quantisation is
therefore not in it, audio held back is. A filter's delay that fits into the same message is not in it either:
it shows as `filter_ms`, how much later in the stream that came out the burst lies than in the stream that
went in (whole frames that were dropped before counting began taken out).

While no burst is out, a message of the size of an audio message that was looked at is taken for one, unread:
nearly all are, and reading them would cost the load more than the sockets do. Every burst is looked for in
the audio itself.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from typing import Final

GAP_TOLERANCE_NS: Final = 20_000_000  # one telephone frame
DEAF_MS: Final = 60.0  # after an onset: the burst's own tail, and the filter's
_LEAST: Final = 300  # bytes; what is no audio is shorter, and the least audio message is about this long
FindOnset = Callable[[bytes, int, int], int]  # (message, start, end) of unpadded base64 -> sample, -1: none


class Leg:
    __slots__ = (
        "_bytes_per_ms",
        "_deaf_until_ms",
        "_find_onset",
        "_played_until_ns",
        "_samples_per_ms",
        "_shift_ms",
        "_usual_ms",
        "_usual_ns",
        "bursts_lost",
        "counting",
        "delays_ns",
        "gaps",
        "messages",
        "outstanding",
        "received_ms",
        "sent_ms",
        "shifts_ms",
        "usual_size",
    )

    def __init__(self, bytes_per_ms: int, find_onset: FindOnset, samples_per_ms: int) -> None:
        self._bytes_per_ms = bytes_per_ms
        self._samples_per_ms = samples_per_ms
        self._find_onset = find_onset
        self._deaf_until_ms = 0.0
        self._shift_ms = 0.0
        self._played_until_ns = 0
        self._usual_ms = 0.0
        self._usual_ns = 0
        self.outstanding: deque[tuple[int, float, bool]] = deque()
        self.usual_size = -1  # bytes of the last audio message that was looked at
        self.counting = False
        self.sent_ms = 0.0
        self.received_ms = 0.0
        self.messages = 0
        self.gaps = 0
        self.bursts_lost = 0
        self.delays_ns = array("q")
        self.shifts_ms = array("d")

    def sent(self, now_ns: int, ms: int, burst: bool) -> None:
        """`ms` of audio go to the socket now; with `burst`, a burst starts at their first sample."""
        if burst:
            self.outstanding.append((now_ns, self.sent_ms, self.counting))
        self.sent_ms += ms

    def passed(self, now_ns: int) -> None:
        """A message of `usual_size` came while nothing was `outstanding`: it need not be read."""
        self.received_ms += self._usual_ms
        until_ns = self._played_until_ns
        if self.counting:
            self.messages += 1
            if now_ns > until_ns + GAP_TOLERANCE_NS:
                self.gaps += 1
        self._played_until_ns = (until_ns if until_ns > now_ns else now_ns) + self._usual_ns

    def received(self, now_ns: int, message: bytes, start: int, end: int) -> None:
        """A message came whose base64 audio lies at message[start:end], either alphabet, padded or not."""
        while end > start and message[end - 1] == 0x3D:
            end -= 1
        ms = ((end - start) * 3 // 4) / self._bytes_per_ms
        if self.counting:
            self.messages += 1
            if now_ns > self._played_until_ns + GAP_TOLERANCE_NS and self._played_until_ns:
                self.gaps += 1
        self._played_until_ns = max(self._played_until_ns, now_ns) + int(ms * 1e6)
        if self.outstanding:
            self._listen(now_ns, message, start, end)
        self.received_ms += ms
        if len(message) >= _LEAST:
            self.usual_size, self._usual_ms, self._usual_ns = len(message), ms, int(ms * 1e6)

    def _listen(self, now_ns: int, message: bytes, start: int, end: int) -> None:
        onset = self._find_onset(message, start, end)
        if onset < 0:
            return
        heard_ms = self.received_ms + onset / self._samples_per_ms
        if heard_ms < self._deaf_until_ms:
            return
        self._deaf_until_ms = heard_ms + DEAF_MS
        # Bursts are alike, so which one this is follows from where in the stream it lies.
        expected_ms = heard_ms - self._shift_ms
        while len(self.outstanding) > 1 and (
            abs(self.outstanding[1][1] - expected_ms) < abs(self.outstanding[0][1] - expected_ms)
        ):
            self._lose()
        sent_ns, sent_at_ms, counted = self.outstanding.popleft()
        self._shift_ms = heard_ms - sent_at_ms
        if counted:
            self.delays_ns.append(now_ns - sent_ns)
            self.shifts_ms.append(self._shift_ms)

    def _lose(self) -> None:
        if self.outstanding.popleft()[2]:
            self.bursts_lost += 1

    def close(self) -> None:
        """Nothing more will come: what was sent in the counted time and not heard is lost."""
        while self.outstanding:
            self._lose()

    @property
    def filter_ms(self) -> list[float]:
        """One per burst heard; within half a telephone frame around 0."""
        return [(shift + 10.0) % 20.0 - 10.0 for shift in self.shifts_ms]

    @property
    def lost_ms(self) -> float:
        """Audio that vanished while counting: bursts that come earlier in the stream than they did."""
        if not self.shifts_ms:
            return 0.0
        return max(0.0, max(self.shifts_ms) - self.shifts_ms[-1])
