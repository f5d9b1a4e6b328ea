"""Numbers for what happens in a call, and the one event the control plane itself adds. Pure.

An entry of a call's event stream is known by its Redis id, `{milliseconds}-{n}`. As a sequence number that is
milliseconds * 4096 + n: it grows from entry to entry, every replica gets the same, and until 2039 it is below
2^53, which JavaScript holds exactly. (One call has some ten events a second, so n stays far below 4096.)
"""

from __future__ import annotations

import re

from protos.voiceplane.events.v1.events_pb2 import CallEvent, StatusChanged
from workflows.contracts import CallStatus

FIRST = 1  # that the call was taken: before every entry
LAST = 2**53 - 1  # that the call is over: after every entry
STATUS_SOURCE = "workflow"

_ENTRY = re.compile(r"([0-9]{1,15})-([0-9]{1,4})")
_PER_MS = 4096
_ORDER = (CallStatus.INITIATED, CallStatus.RINGING, CallStatus.IN_PROGRESS)


def sequence_of(entry_id: str) -> int:
    """Raises ValueError: no entry id."""
    match = _ENTRY.fullmatch(entry_id)
    if match is None:
        raise ValueError("must be an entry id of an earlier answer, or empty")
    return int(match[1]) * _PER_MS + int(match[2])


def entry_of(sequence: int) -> str:
    """The entry that has this number; between two numbers in use, one that lies between theirs."""
    return f"{sequence // _PER_MS}-{sequence % _PER_MS}"


def status_event(
    workflow_id: str,
    status: CallStatus,
    at_unix_ms: int,
    *,
    end_reason: str = "",
    error: str = "",
    duration_seconds: float = 0.0,
) -> CallEvent:
    """That a call has come further; its seq is how far, so that telling it twice is telling it once."""
    return CallEvent(
        workflow_id=workflow_id,
        source=STATUS_SOURCE,
        seq=(_ORDER.index(status) if status in _ORDER else len(_ORDER)) + 1,
        at_unix_ms=at_unix_ms,
        offset_ms=-1,
        status_changed=StatusChanged(
            status=status.value, end_reason=end_reason, error=error, duration_seconds=duration_seconds
        ),
    )
