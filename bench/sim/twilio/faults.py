"""Misbehaviour that can be armed over the admin port, for one call or for all.

| fault | what happens | its own fields |
|---|---|---|
| `status_duplicate` | a status callback is sent twice | `event` (default: any) |
| `status_reorder` | a status callback is late, so that others overtake it | `event`, `delay_ms` 300 |
| `status_drop` | a status callback is never sent | `event` |
| `api_error` | the REST API answers with an error | `code`, `on`: create, fetch, list, update |
| `api_lost_response` | the REST API does it, says nothing and drops the connection | `on`, `after_ms` 0 |
| `signature_omit` | a request has no signature | `on`: webhook, stream |
| `signature_forge` | a request is signed with another token | `on` |
| `stream_drop` | the media socket breaks without a `stop` | `after_ms` 1000 |
| `stream_unknown_event` | a message of an unknown kind follows `start` | |
| `clear_keeps_marks` | `clear` doesn't send the outstanding marks back | |
| `network` | jitter, bunching, loss of the callee's frames | `jitter_ms`, `bunch`, `loss` |

Common fields: `call` ("next", "all" or a CallSid; default "next") and `times`. A fault for "next" belongs to
the call that first meets it; it strikes `times` times, by default once ("all", and `network`: without end).
`probability` (default 1) is drawn from the simulator's seed.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

_FIELDS: dict[str, dict[str, Any]] = {
    "status_duplicate": {"event": ""},
    "status_reorder": {"event": "", "delay_ms": 300},
    "status_drop": {"event": ""},
    "api_error": {"code": 20429, "on": ""},
    "api_lost_response": {"on": "", "after_ms": 0},
    "signature_omit": {"on": ""},
    "signature_forge": {"on": ""},
    "stream_drop": {"after_ms": 1000},
    "stream_unknown_event": {},
    "clear_keeps_marks": {},
    "network": {"jitter_ms": 0.0, "bunch": 0.0, "loss": 0.0},
}
_COMMON = {"fault", "call", "times", "probability"}
MAX_ARMED = 1000


class FaultError(ValueError):
    """A fault that can't be armed; the text names the field."""


@dataclass
class Fault:
    """An armed fault; `fields` are its own, with their defaults."""

    name: str
    call: str
    left: int  # how often it still strikes; -1: without end
    probability: float
    fields: dict[str, Any]

    def shown(self) -> dict[str, Any]:
        return {
            "fault": self.name,
            "call": self.call,
            "times": self.left,
            "probability": self.probability,
            **self.fields,
        }


class Faults:
    """All that is armed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._armed: list[Fault] = []

    def arm(self, data: object) -> None:
        """Arm a fault from its JSON. Raises `FaultError`."""
        if not isinstance(data, dict):
            raise FaultError("a fault must be a JSON object")
        name = data.get("fault")
        if name not in _FIELDS:
            raise FaultError(f"fault: {name!r} is none of {', '.join(_FIELDS)}")
        own = _FIELDS[name]
        unknown = data.keys() - own.keys() - _COMMON
        if unknown:
            raise FaultError(f"{name}: unknown field {', '.join(sorted(unknown))}")
        for field, default in own.items():
            value = data.get(field, default)
            kind = int | float if isinstance(default, int | float) else str
            if isinstance(value, bool) or not isinstance(value, kind):
                raise FaultError(f"{field}: {value!r} is not of the type of {default!r}")
        call, probability = data.get("call", "next"), data.get("probability", 1.0)
        times = data.get("times", -1 if call == "all" or name == "network" else 1)
        if not isinstance(call, str):
            raise FaultError("call: must be next, all or a CallSid")
        if isinstance(times, bool) or not isinstance(times, int) or times == 0:
            raise FaultError("times: must be a whole number, or -1 for without end")
        if not isinstance(probability, int | float) or not 0 <= probability <= 1:
            raise FaultError("probability: must be a number from 0 to 1")
        if len(self._armed) >= MAX_ARMED:
            raise FaultError(f"{MAX_ARMED} faults are armed already")
        fields = {field: data.get(field, default) for field, default in own.items()}
        self._armed.append(Fault(name, call, times, float(probability), fields))

    def strike(self, name: str, call_sid: str = "", **wanted: str) -> dict[str, Any] | None:
        """Whether the fault hits now. `wanted`: fields that must be equal, where the fault names them.

        Returns the fault's own fields; counts the strike.
        """
        for fault in self._armed:
            if fault.name != name or fault.call not in ("all", "next", call_sid):
                continue
            if any(fault.fields[field] not in ("", value) for field, value in wanted.items()):
                continue
            if fault.probability < 1 and self._random.random() >= fault.probability:
                continue
            if fault.call == "next" and call_sid:
                fault.call = call_sid
            if fault.left > 0:
                fault.left -= 1
                if fault.left == 0:
                    self._armed.remove(fault)
            return fault.fields
        return None

    def armed(self) -> list[dict[str, Any]]:
        return [fault.shown() for fault in self._armed]

    def disarm(self) -> None:
        self._armed.clear()
