"""Who answers a number, read from JSON: an outcome and a script of what the callee does (docs/seams.md).

Parsing only. `bench.sim.twilio.voice` turns the script's files and texts into audio before the call is
answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Outcome = Literal["answer", "busy", "no-answer", "failed", "voicemail"]
AnsweredBy = Literal["human", "machine", "fax", "unknown"]
WaitFor = Literal["agent_starts", "agent_stops", "silence"]
KEYS = set("0123456789*#ABCDw")


class PersonaError(ValueError):
    """A persona that can't be played; the text names the field."""


@dataclass(frozen=True)
class Play:
    """A WAV file of any rate."""

    path: str


@dataclass(frozen=True)
class Say:
    """A text, spoken by the simulator's voice."""

    text: str


@dataclass(frozen=True)
class Beep:
    """An answering machine's 1 kHz tone, 500 ms."""


@dataclass(frozen=True)
class Pause:
    ms: int


@dataclass(frozen=True)
class Press:
    """Keys pressed one after the other; `w` waits half a second."""

    digits: str


@dataclass(frozen=True)
class Wait:
    """Until the agent starts, has stopped for `for_ms`, or has been silent for `for_ms`."""

    for_what: WaitFor
    timeout_ms: int
    for_ms: int


@dataclass(frozen=True)
class BargeIn:
    """Speak `after_ms` after the agent became audible."""

    speech: Play | Say
    after_ms: int
    timeout_ms: int


@dataclass(frozen=True)
class HangUp:
    pass


Step = Play | Say | Beep | Pause | Press | Wait | BargeIn | HangUp


@dataclass(frozen=True)
class Network:
    """How the carrier mistreats the callee's audio on its way to the media server."""

    jitter_ms: float = 0.0  # each frame is late by up to this much
    bunch: float = 0.0  # probability that a frame is held back and sent with the next one
    loss: float = 0.0  # probability that a frame never arrives; its timestamp is missing


@dataclass(frozen=True)
class Persona:
    """`answer_after_ms`: when the outcome comes, from the dialling, unless the caller's `Timeout` is shorter.

    An empty script listens until somebody hangs up.
    """

    answer_after_ms: int = 800
    outcome: Outcome = "answer"
    answered_by: AnsweredBy = "human"
    script: tuple[Step, ...] = ()
    hangup_after_script: bool = True
    network: Network = field(default_factory=Network)
    source: Mapping[str, Any] = field(default_factory=dict, compare=False)  # as it was given

    @property
    def machine(self) -> bool:
        """It talks whether anybody listens or not."""
        return self.outcome == "voicemail" or self.answered_by == "machine"


def parse_persona(data: object) -> Persona:
    """A persona from its JSON. Raises `PersonaError`."""
    given = _object(data, "persona")
    _only(given, "persona", "answer_after_ms outcome answered_by script hangup_after_script network")
    script = given.get("script", [])
    if not isinstance(script, list):
        raise PersonaError("script: must be a list of steps")
    hangup = given.get("hangup_after_script", True)
    if not isinstance(hangup, bool):
        raise PersonaError("hangup_after_script: must be true or false")
    network = _object(given.get("network", {}), "network")
    _only(network, "network", "jitter_ms bunch loss")
    return Persona(
        answer_after_ms=_ms(given, "answer_after_ms", 800, "persona"),
        outcome=_choice(given, "outcome", "answer", get_args(Outcome)),
        answered_by=_choice(given, "answered_by", "human", get_args(AnsweredBy)),
        script=tuple(_step(step, f"script[{i}]") for i, step in enumerate(script)),
        hangup_after_script=hangup,
        network=Network(
            jitter_ms=_number(network, "jitter_ms", 1000.0),
            bunch=_number(network, "bunch", 1.0),
            loss=_number(network, "loss", 1.0),
        ),
        source=given,
    )


def _step(data: object, at: str) -> Step:
    given = _object(data, at)
    kinds = given.keys() & {"play", "say", "pause_ms", "press", "wait", "barge_in", "hangup", "beep"}
    if len(kinds) != 1:
        raise PersonaError(
            f"{at}: needs exactly one of play, say, pause_ms, press, wait, barge_in, hangup, beep"
        )
    kind = kinds.pop()
    if kind == "wait":
        _only(given, at, "wait timeout_ms for_ms")
        return Wait(
            _choice(given, "wait", None, get_args(WaitFor)),
            _ms(given, "timeout_ms", 15_000, at),
            _ms(given, "for_ms", 600, at),
        )
    if kind == "barge_in":
        _only(given, at, "barge_in after_ms timeout_ms")
        speech = _step(given["barge_in"], f"{at}.barge_in")
        if not isinstance(speech, Play | Say):
            raise PersonaError(f"{at}.barge_in: must be play or say")
        return BargeIn(speech, _ms(given, "after_ms", 900, at), _ms(given, "timeout_ms", 15_000, at))
    _only(given, at, kind)
    value = given[kind]
    if kind == "pause_ms":
        return Pause(_ms(given, kind, 0, at))
    if kind in ("hangup", "beep"):
        if value is not True:
            raise PersonaError(f"{at}.{kind}: must be true")
        return HangUp() if kind == "hangup" else Beep()
    if not isinstance(value, str) or not value:
        raise PersonaError(f"{at}.{kind}: must be a non-empty string")
    if kind == "press":
        if not set(value) <= KEYS:
            raise PersonaError(f"{at}.press: keys are 0-9, *, #, A-D and w for half a second")
        return Press(value)
    return Play(value) if kind == "play" else Say(value)


def _object(data: object, at: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise PersonaError(f"{at}: must be a JSON object")
    return data


def _only(given: Mapping[str, Any], at: str, known: str) -> None:
    unknown = given.keys() - set(known.split())
    if unknown:
        raise PersonaError(f"{at}: unknown field {', '.join(sorted(unknown))}")


def _choice(given: Mapping[str, Any], name: str, default: str | None, known: tuple[Any, ...]) -> Any:
    value = given.get(name, default)
    if value not in known:
        raise PersonaError(f"{name}: {value!r} is none of {', '.join(known)}")
    return value


def _ms(given: Mapping[str, Any], name: str, default: int, at: str) -> int:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 3_600_000:
        raise PersonaError(f"{at}.{name}: must be milliseconds from 0 to 3600000")
    return value


def _number(given: Mapping[str, Any], name: str, most: float) -> float:
    value = given.get(name, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise PersonaError(f"network.{name}: must be a number from 0 to {most:g}")
    return float(value)
