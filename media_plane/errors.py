"""What goes wrong in the media plane, told apart by whose fault it is.

A peer's nonsense is a `PeerError`: its socket is closed with the code, a counter counts it, nobody else
notices. A broken promise of our own code is an assertion. What the model or its network does is a
`ModelFailure`.
"""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    """WebSocket close codes this node sends (RFC 6455, section 7.4.1)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    INVALID_DATA = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL = 1011
    TRY_LATER = 1013


class PeerError(Exception):
    """A peer sent what its protocol does not allow; `reason` is a sentence that names the field.

    `code` is what the socket is closed with, at most 123 bytes of `reason` beside it.
    """

    def __init__(self, reason: str, code: CloseCode = CloseCode.INVALID_DATA) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code


class ModelFailure(Exception):
    """The model's session could not be opened, or broke.

    `code`: WebSocket close code, or the HTTP status of a refused upgrade; 0: neither (no answer, no route).
    `retryable`: another attempt with the same configuration may succeed.
    """

    def __init__(self, code: int, reason: str, *, retryable: bool) -> None:
        super().__init__(f"{reason} ({code})" if code else reason)
        self.code = code
        self.reason = reason
        self.retryable = retryable


class InvalidRequest(Exception):
    """A request that is not as it must be: the asker's mistake. A sentence that names the field."""


class PortUnavailable(Exception):
    """A port of this node's settings can't be had; the message names the variable."""


class CallRefused(Exception):
    """A call can't be prepared here; `kind` is what to tell the asker."""

    FULL = "full"
    DRAINING = "draining"
    CONFLICT = "conflict"

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
