"""How Twilio's socket is closed for each end of a call: Twilio logs it and goes on with the next verb."""

from __future__ import annotations

from media_plane.errors import CloseCode
from media_plane.wire.events import EndReason

CLOSES: dict[EndReason, tuple[CloseCode, str]] = {
    EndReason.STOP: (CloseCode.NORMAL, ""),
    EndReason.SOCKET_CLOSED: (CloseCode.NORMAL, ""),
    EndReason.MODEL_FAILED: (CloseCode.INTERNAL, "the model's session failed"),
    EndReason.REQUESTED: (CloseCode.NORMAL, "call ended"),
    EndReason.EXPIRED: (CloseCode.POLICY, "no start in time"),
    EndReason.AGENT_ENDED: (CloseCode.NORMAL, "the agent ended the call"),
    EndReason.DRAIN: (CloseCode.GOING_AWAY, "node is shutting down"),
}
