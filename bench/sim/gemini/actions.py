"""What a session asks its driver to do. The session does nothing itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.sim.gemini.scenario import VoiceSpec


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the session's log.

    `t_ns` is when it was due; the driver stamps it anew at the moment it acts, so that a busy loop shows.
    `past`: it is about an earlier moment (as what was received is), which `t_ns` gives.
    """

    t_ns: int
    direction: str  # "<" received, ">" sent, "=" the simulator's own, "x" dropped
    kind: str
    fields: dict[str, Any]
    past: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """Write one frame now, and log it with the time of writing."""

    frame: dict[str, Any]
    note: Note


@dataclass(frozen=True, slots=True)
class Close:
    """Write a close frame, then close once it is echoed or a second has passed."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Abort:
    """Drop the TCP connection: no close frame."""


@dataclass(frozen=True, slots=True)
class Pong:
    """Answer a ping."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class PauseReading:
    """Leave what the client writes in the socket for this long."""

    ns: int


@dataclass(frozen=True, slots=True)
class Hear:
    """Transcribe; answer with `on_heard(job, …)`."""

    job: int
    pcm16k: npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class ForgetHearing:
    """The answer to this job no longer matters."""

    job: int


@dataclass(frozen=True, slots=True)
class Say:
    """Speak `text`, or sound `voice`; answer with `on_said(generation, index, pcm24k)`."""

    generation: int
    index: int
    text: str
    voice: VoiceSpec | None


Action = Send | Close | Abort | Pong | PauseReading | Hear | ForgetHearing | Say | Note
