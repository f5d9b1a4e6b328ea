"""The person (or machine) at the phone: what they say in each 20 ms, given what they hear.

`next_frame` is called once for every frame of the call, in order, before the frame begins; it never looks at
a clock. Times are milliseconds since the answer, on the call's 20 ms grid.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from bench.sim.twilio.mulaw import FRAME, SILENCE, SILENT_FRAME

FRAME_MS = 20
KEY_MS = 200  # from one key to the next: 100 ms of tone, 100 ms of pause
KEY_WAIT_MS = 500  # `w`


@dataclass(frozen=True, slots=True)
class Speak:
    """μ-law audio, and what to call it in the timeline."""

    ulaw: bytes
    label: str


@dataclass(frozen=True, slots=True)
class Rest:
    ms: int


@dataclass(frozen=True, slots=True)
class PressKeys:
    digits: str


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """`agent_starts`: the agent has become audible since the callee last spoke.
    `agent_stops`: it has, and has then been silent for `for_ms`.
    `silence`: nothing was heard for `for_ms`, counted from here."""

    for_what: Literal["agent_starts", "agent_stops", "silence"]
    timeout_ms: int
    for_ms: int


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Speak `after_ms` after the agent became audible, or at `timeout_ms` if it doesn't."""

    speech: Speak
    after_ms: int
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class RingOff:
    """Put the phone down."""


Act = Speak | Rest | PressKeys | WaitUntil | Interrupt | RingOff


@dataclass(frozen=True, slots=True)
class Ear:
    """What the callee hears of the agent, as known at the start of a frame."""

    audible: bool
    onset_ms: float | None  # when it last became audible
    last_loud_ms: float | None  # when it was last audible


@dataclass(frozen=True, slots=True)
class Key:
    """The callee presses a key."""

    digit: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The callee hangs up."""


@dataclass(frozen=True, slots=True)
class Began:
    """A step of the script begins; `timed_out` tells that the wait before it wasn't satisfied."""

    step: str
    timed_out: bool = False


Deed = Key | Gone | Began


class Callee:
    """Plays a script. `free`: it need not wait for a stream before speaking (an answering machine)."""

    def __init__(self, acts: list[Act], *, free: bool) -> None:
        self._acts = deque(acts)
        self._free = free
        self._sound = b""
        self._position = 0
        self._keys: deque[str] = deque()
        self._next_key_ms = 0
        self._began_ms: int | None = None  # when the present act began
        self._spoke_ms = 0.0  # only an agent that starts after this counts as an answer

    @property
    def speaking(self) -> bool:
        """Audio of a step is being said."""
        return self._position < len(self._sound)

    def say_now(self, ulaw: bytes) -> None:
        """Speak at once, in place of what is being said; the script goes on afterwards."""
        self._sound, self._position = ulaw, 0

    def press_now(self, digits: str) -> None:
        """Press keys at once, after those already under way."""
        self._keys.extend(digits)

    def next_frame(self, now_ms: int, ear: Ear, *, connected: bool) -> tuple[bytes, list[Deed]]:
        """The 160 μ-law bytes that begin at `now_ms`, and what else the callee does then.

        `connected`: somebody listens (a stream or a bridge); a step that speaks or presses waits for it.
        """
        deeds: list[Deed] = []
        self._press(now_ms, connected, deeds)
        while not self.speaking and not self._keys and self._acts:
            if not self._perform(now_ms, ear, connected, deeds):
                break
            self._press(now_ms, connected, deeds)
        return self._frame(now_ms), deeds

    def _frame(self, now_ms: int) -> bytes:
        if not self.speaking:
            return SILENT_FRAME
        frame = self._sound[self._position : self._position + FRAME]
        self._position += FRAME
        self._spoke_ms = now_ms + FRAME_MS
        return frame.ljust(FRAME, bytes([SILENCE]))

    def _press(self, now_ms: int, connected: bool, deeds: list[Deed]) -> None:
        while self._keys and connected and now_ms >= self._next_key_ms:
            key = self._keys.popleft()
            if key == "w":
                self._next_key_ms = now_ms + KEY_WAIT_MS
            else:
                deeds.append(Key(key))
                self._next_key_ms = now_ms + KEY_MS

    def _perform(self, now_ms: int, ear: Ear, connected: bool, deeds: list[Deed]) -> bool:
        """Work on the script's next act. Returns whether it is done: the next may begin in this frame."""
        act = self._acts[0]
        if isinstance(act, Speak | PressKeys | Interrupt) and not (connected or self._free):
            return False
        begins = self._began_ms is None
        began_ms = now_ms if self._began_ms is None else self._began_ms
        self._began_ms = began_ms
        if begins and not isinstance(act, WaitUntil | Interrupt):
            deeds.append(Began(_name(act)))
        waited_ms = now_ms - began_ms
        match act:
            case Rest(ms):
                done = waited_ms >= ms
            case Speak(ulaw):
                self.say_now(ulaw)
                done = True
            case PressKeys(digits):
                self.press_now(digits)
                done = True
            case RingOff():
                deeds.append(Gone())
                done = True
            case WaitUntil():
                satisfied = self._satisfied(act, now_ms, began_ms, ear)
                done = satisfied or waited_ms >= act.timeout_ms
                if done:
                    self._spoke_ms = now_ms if act.for_what == "agent_stops" else self._spoke_ms
                    deeds.append(Began(f"after {act.for_what}", timed_out=not satisfied))
            case Interrupt():
                onset_ms = ear.onset_ms if ear.audible or self._answered(ear) else None
                due = onset_ms is not None and now_ms >= onset_ms + act.after_ms
                done = due or (onset_ms is None and waited_ms >= act.timeout_ms)
                if done:
                    deeds.append(Began(_name(act), timed_out=not due))
                    self.say_now(act.speech.ulaw)
        if done:
            self._acts.popleft()
            self._began_ms = None
        return done

    def _satisfied(self, wait: WaitUntil, now_ms: int, began_ms: int, ear: Ear) -> bool:
        quiet_ms = now_ms - (ear.last_loud_ms or 0.0)
        if wait.for_what == "agent_starts":
            return self._answered(ear)
        if wait.for_what == "agent_stops":
            return self._answered(ear) and quiet_ms >= wait.for_ms
        return min(quiet_ms, now_ms - began_ms) >= wait.for_ms

    def _answered(self, ear: Ear) -> bool:
        return ear.onset_ms is not None and ear.onset_ms >= self._spoke_ms


def _name(act: Act) -> str:
    match act:
        case Speak(_, label):
            return f"speak {label}"
        case Rest(ms):
            return f"pause {ms} ms"
        case PressKeys(digits):
            return f"press {digits}"
        case Interrupt(speech):
            return f"barge in {speech.label}"
        case RingOff():
            return "hang up"
        case WaitUntil(for_what):
            return f"wait {for_what}"
