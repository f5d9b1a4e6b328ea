"""When to try again. Pure: the time is passed in."""

from __future__ import annotations

import random
from dataclasses import dataclass

import grpc

from control_plane.client.errors import ApiError

# The server is away, is going away, or has too much to do: another attempt may find it well.
TRANSIENT = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED})
# What a watch besides comes back after: a proxy or a server that ended the stream.
RESUMED = TRANSIENT | {
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.INTERNAL,  # an HTTP/2 stream that was reset
    grpc.StatusCode.UNKNOWN,
}


@dataclass
class Backoff:
    """Growing pauses with jitter, until `give_up_s` after the first; none shorter than the server asked."""

    give_up_s: float
    first_s: float = 0.1
    most_s: float = 5.0
    _pause_s: float = 0.0
    _began: float | None = None

    def pause(self, error: ApiError, now: float) -> float | None:
        """Seconds to wait; None: give up."""
        if self._began is None:
            self._began = now
        self._pause_s = min(self._pause_s * 2 or self.first_s, self.most_s)
        pause = max(self._pause_s * random.uniform(0.5, 1.0), error.retry_after_s or 0.0)
        return pause if now + pause < self._began + self.give_up_s else None

    def succeeded(self) -> None:
        """From here a failure is the first again."""
        self._pause_s, self._began = 0.0, None
