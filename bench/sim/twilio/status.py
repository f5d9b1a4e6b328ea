"""A call's status over its life, and the callbacks each change brings. Source: Twilio's "Track outbound
calls".

    queued -> initiated -> ringing -> in-progress -> completed
    queued, initiated, ringing -> busy, no-answer, failed, canceled
    queued -> ringing (an inbound call)

`initiated` exists in callbacks only: the resource says `queued` until it rings.
"""

from __future__ import annotations

from typing import Literal

from bench.sim.twilio.request import Event

Status = Literal[
    "queued",
    "initiated",
    "ringing",
    "in-progress",
    "completed",
    "busy",
    "no-answer",
    "failed",
    "canceled",
]
FINAL: frozenset[Status] = frozenset(("completed", "busy", "no-answer", "failed", "canceled"))
_UNANSWERED: frozenset[Status] = FINAL - {"completed"}
_NEXT: dict[Status, frozenset[Status]] = {
    "queued": _UNANSWERED | {"initiated", "ringing"},
    "initiated": _UNANSWERED | {"ringing"},
    "ringing": _UNANSWERED | {"in-progress"},
    "in-progress": frozenset(("completed",)),
}
_EVENT: dict[Status, Event] = {
    "initiated": "initiated",
    "ringing": "ringing",
    "in-progress": "answered",
    **dict.fromkeys(FINAL, "completed"),
}
SIP_RESPONSE: dict[Status, str] = {
    "completed": "200",
    "busy": "486",
    "no-answer": "480",
    "failed": "404",
    "canceled": "487",
}


class StatusSequence:
    """Follows one call; knows which changes somebody asked to hear of, and numbers those."""

    def __init__(self, events: tuple[Event, ...]) -> None:
        self.status: Status = "queued"
        self._events = events
        self._number = 0

    @property
    def over(self) -> bool:
        return self.status in FINAL

    @property
    def shown(self) -> Status:
        """The status as the REST resource shows it."""
        return "queued" if self.status == "initiated" else self.status

    def advance(self, status: Status) -> dict[str, str] | None:
        """Change to `status`. Returns the callback's own fields, or None when nobody asked for this event."""
        assert status in _NEXT.get(self.status, ()), f"a call that is {self.status} can't become {status}"
        self.status = status
        if _EVENT[status] not in self._events:
            return None
        fields = {
            "CallStatus": status,
            "CallbackSource": "call-progress-events",
            "SequenceNumber": str(self._number),
        }
        if status in FINAL:
            fields["SipResponseCode"] = SIP_RESPONSE[status]
        self._number += 1
        return fields
