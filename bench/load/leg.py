"""One direction of one call as its two ends saw it: bursts sent, bursts heard, audio missing, gaps.

The sender calls `sent` just before a frame goes to its socket, the receiver `received` with the time at which
its callback began; both times are CLOCK_MONOTONIC of the one load process. A burst starts at the first sample
of the frame that carries it, so `delays_ns` is: the frame with the burst handed to the socket, until the
message that holds the first loud sample came out at the other end. Frame quantisation is therefore not in it,
audio held back is. A filter's delay that fits into the same message is not in it either: it shows as
`filter_ms`, how much later in the stream that came out the burst lies than in the stream that went in (whole
frames that were dropped before counting began taken out).
"""

from __future__ import annotations

import binascii
from array import array
from collections import deque
from collections.abc import Callable
from typing import Final

GAP_TOLERANCE_NS: Final = 20_000_000  # one telephone frame
DEAF_MS: Final = 60.0  # after an onset: the burst's own tail, and the filter's
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")


class Leg:
    def __init__(self, bytes_per_ms: int, find_onset: Callable[[bytes], int], samples_per_ms: int) -> None:
        self._bytes_per_ms = bytes_per_ms
        self._samples_per_ms = samples_per_ms
        self._find_onset = find_onset
        self._outstanding: deque[tuple[int, float, bool]] = deque()
        self._deaf_until_ms = 0.0
        self._shift_ms = 0.0
        self._played_until_ns = 0
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
            self._outstanding.append((now_ns, self.sent_ms, self.counting))
        self.sent_ms += ms

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
        if self._outstanding:
            self._listen(now_ns, message[start:end])
        self.received_ms += ms

    def _listen(self, now_ns: int, encoded: bytes) -> None:
        padded = encoded.translate(_STANDARD) + b"=" * (-len(encoded) % 4)
        onset = self._find_onset(binascii.a2b_base64(padded))
        if onset < 0:
            return
        heard_ms = self.received_ms + onset / self._samples_per_ms
        if heard_ms < self._deaf_until_ms:
            return
        self._deaf_until_ms = heard_ms + DEAF_MS
        # Bursts are alike, so which one this is follows from where in the stream it lies.
        expected_ms = heard_ms - self._shift_ms
        while len(self._outstanding) > 1 and (
            abs(self._outstanding[1][1] - expected_ms) < abs(self._outstanding[0][1] - expected_ms)
        ):
            self._lose()
        sent_ns, sent_at_ms, counted = self._outstanding.popleft()
        self._shift_ms = heard_ms - sent_at_ms
        if counted:
            self.delays_ns.append(now_ns - sent_ns)
            self.shifts_ms.append(self._shift_ms)

    def _lose(self) -> None:
        if self._outstanding.popleft()[2]:
            self.bursts_lost += 1

    def close(self) -> None:
        """Nothing more will come: what was sent in the counted time and not heard is lost."""
        while self._outstanding:
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
