"""What the simulator raises on purpose."""

from __future__ import annotations

_REASON_LIMIT = 123  # RFC 6455 section 5.5: a control frame carries 125 bytes, two of them the code


class Refused(Exception):
    """The peer sent what the service answers by closing: a close code and the reason the service gives."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = clip_reason(reason)


class ScenarioError(ValueError):
    """A scenario or fault that can't be used; the text names the field."""


def clip_reason(reason: str) -> str:
    """Cut a close reason to what a close frame can carry, at a character boundary."""
    return reason.encode()[:_REASON_LIMIT].decode(errors="ignore")
