"""Faults that can be armed: for the next session, for one, for all, or at random with the session's seed.

A fault names a moment (`at`) and a delay after it (`after_ms`). Faults that change how something is done
(no_reply, late_transcripts …) hold from then on for the rest of the session, or for `turns` answers.
"""

from __future__ import annotations

import random
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.sim.gemini.errors import ScenarioError

Kind = Literal[
    "refuse_upgrade",
    "setup_hang",
    "setup_delay",
    "go_away",
    "close",
    "internal_error",
    "deadline",
    "quota",
    "invalid_argument",
    "aborted",
    "restart",
    "abort",
    "delayed_pongs",
    "slow_reads",
    "stall",
    "no_reply",
    "phantom_interrupted",
    "empty_turn_complete",
    "tool_ignored",
    "late_transcripts",
    "unordered_transcripts",
    "empty_frames",
    "slow_generation",
    "close_during_resume",
    "amnesia",
    "unknown_message",
    "large_frame",
]
Moment = Literal["open", "setup_complete", "speech_started", "reply", "turn_complete"]

CLOSES: Final = {
    "close": (1011, "Internal error encountered."),
    "internal_error": (1011, "Internal error encountered."),
    "deadline": (1011, "Deadline expired before operation could complete."),
    "quota": (1011, "You exceeded your current quota, please check your plan and billing details."),
    "invalid_argument": (1007, "Request contains an invalid argument."),
    "aborted": (1008, "The operation was aborted."),
    "restart": (1012, "Service restart."),
    "close_during_resume": (1007, "Request contains an invalid argument."),
}

# What each kind takes besides session, at, after_ms, probability and times, with its default.
_PARAMETERS: Final[dict[str, dict[str, float | str | bool]]] = {
    "refuse_upgrade": {"status": 429},
    "setup_delay": {"ms": 5000},
    "go_away": {"time_left_s": 50.0, "silent": True},
    "close": {"code": 1011, "reason": ""},
    "close_during_resume": {"code": 1007, "reason": ""},
    "delayed_pongs": {"ms": 8000},
    "slow_reads": {"ms": 3000},
    "stall": {"ms": 2000},
    "no_reply": {"turns": 1},
    "empty_turn_complete": {"turns": 1},
    "tool_ignored": {"turns": 1},
    "late_transcripts": {"ms": 3000, "turns": 1_000_000},
    "unordered_transcripts": {"turns": 1_000_000},
    "empty_frames": {"count": 200, "every_ms": 5},
    "slow_generation": {"factor": 0.7, "turns": 1_000_000},
    "large_frame": {"bytes": 1_500_000},
}


def _sendable(code: int) -> int:
    if code in (1004, 1005, 1006, 1015):  # RFC 6455 section 7.4.1: never in a close frame
        raise ValueError(f"no close frame carries {code}; an unclean end is the fault abort")
    return code


CloseCode = Annotated[int, Field(ge=1000, le=4999), AfterValidator(_sendable)]


class Fault(BaseModel):
    """One armed fault, as `POST /faults` and a scenario's `faults:` take it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fault: Kind
    session: str = "next"  # "next", "all", or a session's id
    at: Moment = "open"
    after_ms: Annotated[float, Field(ge=0)] = 0
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    times: Annotated[int, Field(ge=1)] | None = (
        None  # sessions it strikes; null: one for "next", else no limit
    )
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    code: CloseCode | None = None
    reason: str | None = None
    ms: Annotated[float, Field(ge=0)] | None = None
    time_left_s: Annotated[float, Field(ge=0)] | None = None
    silent: bool | None = None
    count: Annotated[int, Field(ge=1)] | None = None
    every_ms: Annotated[float, Field(gt=0)] | None = None
    factor: Annotated[float, Field(gt=0)] | None = None
    turns: Annotated[int, Field(ge=1)] | None = None
    bytes: Annotated[int, Field(ge=1, le=50_000_000)] | None = None

    @model_validator(mode="after")
    def _only_its_own_parameters(self) -> Fault:
        mine = _PARAMETERS.get(self.fault, {})
        every = {name for parameters in _PARAMETERS.values() for name in parameters}
        for name in sorted(every - set(mine)):
            if getattr(self, name) is not None:
                raise ValueError(f"{self.fault} takes no {name}")
        return self

    def value(self, name: str) -> float:
        """A numeric parameter, or its default."""
        own = getattr(self, name)
        return float(_PARAMETERS[self.fault][name] if own is None else own)

    @property
    def is_silent(self) -> bool:
        """Of go_away: nothing follows it."""
        return self.silent is not False

    def close(self) -> tuple[int, str]:
        """Of those that close: code and reason."""
        code, reason = CLOSES[self.fault]
        return self.code or code, self.reason if self.reason is not None else reason


def parse_fault(fields: object) -> Fault:
    """Check one fault given as JSON. Raises ScenarioError naming the field."""
    try:
        return Fault.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"]) or "fault"
        raise ScenarioError(f"{where}: {first['msg']}") from None


class FaultBook:
    """The armed faults of a server."""

    def __init__(self) -> None:
        self._armed: list[list[Fault | int | None]] = []  # fault, sessions left

    def arm(self, fault: Fault) -> None:
        """Arm it for sessions to come. (One for a live session goes to that session.)"""
        left = fault.times if fault.times is not None else (1 if fault.session == "next" else None)
        self._armed.append([fault, left])

    def disarm(self) -> None:
        """Forget all."""
        self._armed.clear()

    @property
    def armed(self) -> list[Fault]:
        """What may still strike."""
        return [entry[0] for entry in self._armed if isinstance(entry[0], Fault)]

    def strike(self, rng: random.Random, session_id: str) -> list[Fault]:
        """The faults that a session opened now has to suffer; those used up are forgotten."""
        struck: list[Fault] = []
        for entry in list(self._armed):
            fault, left = entry
            assert isinstance(fault, Fault)
            if fault.session not in ("next", "all", session_id) or rng.random() >= fault.probability:
                continue
            struck.append(fault)
            if isinstance(left, int):
                entry[1] = left - 1
                if left <= 1:
                    self._armed.remove(entry)
        return struck


class Afflictions:
    """The faults of one session that change how it does things, while they last."""

    def __init__(self) -> None:
        self._active: dict[str, tuple[Fault, int | None]] = {}

    def start(self, fault: Fault) -> None:
        """It holds from now on."""
        turns = int(fault.value("turns")) if "turns" in _PARAMETERS.get(fault.fault, {}) else None
        self._active[fault.fault] = (fault, turns)

    def get(self, kind: Kind) -> Fault | None:
        """The fault of this kind, if it holds."""
        found = self._active.get(kind)
        return found[0] if found else None

    def use(self, kind: Kind) -> Fault | None:
        """As `get`, for one answer: it counts down `turns`."""
        found = self._active.get(kind)
        if found is None:
            return None
        fault, turns = found
        if turns is not None:
            if turns <= 1:
                del self._active[kind]
            else:
                self._active[kind] = (fault, turns - 1)
        return fault

    def pop(self, kind: Kind) -> Fault | None:
        """The fault of this kind, which then no longer holds."""
        found = self._active.pop(kind, None)
        return found[0] if found else None
