"""A call in virtual time: the product's session between a model that knows when it says each word, and a
telephone that knows which samples it played.

What the network does to marks: late by jitter or by most of a second, lost, twice, unknown. What the model
does to transcript deltas: with their audio, ahead of it, behind it by seconds, after the turn, split within
words. The random generator decides all of it, so a seed is a call.
"""

from __future__ import annotations

import base64
import heapq
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from media_plane.call.hold import HoldCounts, HoldKnobs
from media_plane.dsp.codec import KernelCodecs
from media_plane.session import CallConfig, CallSession
from media_plane.wire.events import CallEvent
from media_plane.wire.gemini_notes import Telling

MS = 1_000_000
RATE = 8000
SID = "MZ" + "0" * 32
CODECS = KernelCodecs()
_WORDS = " ".join(
    (
        "of course I can do that for you our rooms on the second floor have a view over the harbour and",
        "breakfast is served from seven until half past ten please tell me your name arrival date",
        "telephone number reservation unfortunately everything is booked tonight but tomorrow we could",
    )
).split()


@dataclass(frozen=True)
class Word:
    text: str
    begins: float  # seconds of the turn's audio
    ends: float


def speech(rng: random.Random, letters_per_s: float, number: Iterator[int]) -> tuple[list[Word], float]:
    """The words of an answer and its length in seconds. `number` makes each word one that is said once."""
    at = rng.uniform(0.0, 0.25)
    words = []
    for _ in range(rng.randrange(8, 60)):
        text = f"{rng.choice(_WORDS)}{_letters(next(number))}"
        length = (len(text) - 1) / letters_per_s  # the letters that make it unique take little time
        if rng.random() < 0.06:
            text = str(1000 + next(number))
            length = 0.3 * len(text)
        length *= rng.lognormvariate(0.0, 0.22)
        begins, at = at, at + length
        if rng.random() < 0.12:
            text += rng.choice((".", "?", ","))
            pause = rng.uniform(0.15, 0.6)
        else:
            pause = 0.0
        words.append(Word(text, begins, at))
        at += pause
    return words, at + rng.uniform(0.05, 0.3)


def _letters(number: int) -> str:
    """A number as two letters, or as five."""
    if number < 676:
        return chr(97 + number // 26) + chr(97 + number % 26)
    return f"{_letters(number // 676)}q{_letters(number % 676)}"


class World:
    """Virtual time: what is due, in order."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000_000
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, due_ns: int, do: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._due, (due_ns, self._count, do))

    def run(self, until_ns: int) -> None:
        while self._due and self._due[0][0] <= until_ns:
            due_ns, _, do = heapq.heappop(self._due)
            self.now_ns = max(self.now_ns, due_ns)
            do()
        self.now_ns = max(self.now_ns, until_ns)


@dataclass
class Network:
    """Of one call. Times in ms."""

    rng: random.Random
    there: float = field(init=False)
    back: float = field(init=False)
    lost: float = field(init=False)

    def __post_init__(self) -> None:
        self.there = self.rng.uniform(2, 40)
        self.back = self.rng.uniform(2, 40)
        self.lost = 1.0 if self.rng.random() < 0.1 else self.rng.uniform(0.0, 0.4)

    def there_ns(self) -> int:
        return int((self.there + self.rng.expovariate(1 / 1.5)) * MS)

    def marks_ns(self) -> list[int]:
        """How long each copy of a returned mark takes."""
        if self.rng.random() < self.lost:
            return []
        copies = 2 if self.rng.random() < 0.05 else 1
        late = self.rng.uniform(50, 800) if self.rng.random() < 0.1 else 0.0
        return [int((self.back + late + self.rng.expovariate(1 / 4)) * MS) for _ in range(copies)]


class Telephone:
    """Twilio's side, as a leg: plays in order and in real time what has arrived."""

    def __init__(self, world: World, network: Network, starts_late_ns: int) -> None:
        self.congested = False
        self.deliver: Callable[[bytes], None] = lambda message: None
        self.sent = 0  # samples, ever
        self.arrived = 0
        self.audio = bytearray()  # μ-law that was played, and what waits to be
        self.cleared_ns: list[int] = []  # when each `clear` was written
        self.dropped: list[int] = []  # samples, by clear
        self._world = world
        self._network = network
        self._late_ns = starts_late_ns
        self._arrives_ns = 0
        self._end_ns = 0  # everything that has arrived has been played then
        self._marks: list[tuple[int, str]] = []

    def send(self, kind: object, buffer: bytearray, offset: int) -> None:
        self.send_text(bytes(buffer[offset:]))
        buffer[offset:] = bytes(len(buffer) - offset)

    def send_text(self, message: bytes) -> None:
        said = json.loads(message)
        if said["event"] == "media":
            self.sent += len(base64.b64decode(said["media"]["payload"]))
        elif said["event"] == "clear":
            self.cleared_ns.append(self._world.now_ns)
        self._arrives_ns = max(self._arrives_ns, self._world.now_ns + self._network.there_ns())
        self._world.at(self._arrives_ns, lambda: self._arrived(said))

    def close(self, code: int, reason: str) -> None:
        pass

    @property
    def left(self) -> int:
        """Samples that have arrived and have not been played."""
        return max(0, self._end_ns - self._world.now_ns) // 125_000

    def _arrived(self, said: dict[str, Any]) -> None:
        now_ns = self._world.now_ns
        if said["event"] == "media":
            ulaw = base64.b64decode(said["media"]["payload"])
            samples = len(ulaw)
            self.audio += ulaw
            self.arrived += samples
            if now_ns >= self._end_ns:
                self._end_ns = now_ns + self._late_ns
            self._end_ns += samples * 125_000
        elif said["event"] == "mark":
            name = said["mark"]["name"]
            self._marks.append((max(now_ns, self._end_ns), name))
            self._world.at(max(now_ns, self._end_ns), self._return_due)
        else:
            self.dropped.append(self.left)
            del self.audio[len(self.audio) - self.left :]
            self._end_ns = now_ns
            self._return_due(everything=True)

    def _return_due(self, *, everything: bool = False) -> None:
        due = [mark for mark in self._marks if everything or mark[0] <= self._world.now_ns]
        self._marks = [mark for mark in self._marks if mark not in due]
        for _, name in due:
            for delay_ns in self._network.marks_ns():
                self._world.at(self._world.now_ns + delay_ns, lambda name=name: self._mark(name))  # type: ignore[misc]
        if due and self._network.rng.random() < 0.02:
            self._mark(f"m{self._network.rng.randrange(10**6)}")

    def _mark(self, name: str) -> None:
        self.deliver(json.dumps({"event": "mark", "streamSid": SID, "mark": {"name": name}}).encode())


class ModelLeg:
    """What the model is sent beside audio."""

    def __init__(self) -> None:
        self.congested = False
        self.told: list[dict[str, Any]] = []

    def send(self, kind: object, buffer: bytearray, offset: int) -> None:
        buffer[offset:] = bytes(len(buffer) - offset)

    def send_text(self, message: bytes) -> None:
        self.told.append(json.loads(message))

    def close(self, code: int, reason: str) -> None:
        pass


def audio(seconds: float) -> dict[str, Any]:
    """A part of the model's audio; what it sounds like is no matter here."""
    data = base64.b64encode(np.zeros(round(seconds * 24_000), "<i2").tobytes()).decode()
    return {"modelTurn": {"parts": [{"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": data}}]}}


class Call:
    """The product's session, live, between the two."""

    def __init__(self, seed: int, hold: HoldKnobs | None = None, holds: HoldCounts | None = None) -> None:
        self.rng = random.Random(seed)
        self.world = World()
        self.network = Network(self.rng)
        self._transcribed_ns = 0
        self.telephone = Telephone(self.world, self.network, int(self.rng.uniform(0, 12) * MS))
        self.model = ModelLeg()
        self.events: list[CallEvent] = []
        self.session = CallSession(
            CallConfig(
                f"call-{seed}",
                "",
                "gemini-3.8-live",
                1 << 62,
                telling=Telling.CLIENT_CONTENT,
                hold=hold,
            ),
            CODECS,
            clock=lambda: self.world.now_ns,
            emit=self.events.append,
            ended=lambda session: None,
            holds=holds,
        )
        self.telephone.deliver = self.from_caller
        self.session.model_ready(self.model, 1, 1, self.world.now_ns)
        self.session.attach_caller(self.telephone)
        form = {"encoding": "audio/x-mulaw", "sampleRate": RATE, "channels": 1}
        start = {"event": "start", "streamSid": SID, "start": {"callSid": "CA1", "mediaFormat": form}}
        self.from_caller(json.dumps(start).encode())
        self._tick()

    def says(self, **content: object) -> None:
        if self.session.end_reason is None:
            self.session.model_frame(json.dumps({"serverContent": content}).encode(), self.world.now_ns)

    def transcribes(self, text: str, late_ms: float) -> None:
        """A transcript delta, so late; deltas keep their own order."""
        self._transcribed_ns = max(self._transcribed_ns, self.world.now_ns + int(late_ms * MS))
        self.world.at(self._transcribed_ns, lambda: self.says(outputTranscription={"text": text}))

    def wait_for_text(self) -> None:
        """Until no delta is under way: the service sends a turn's text before the next turn's audio."""
        self.world.run(max(self._transcribed_ns, self.world.now_ns))

    def hangs_up(self) -> None:
        """The caller is gone now; we hear of it later."""
        stop = json.dumps({"event": "stop", "streamSid": SID, "stop": {"callSid": "CA1"}}).encode()
        self.world.at(self.world.now_ns + int(self.network.back * MS), lambda: self.from_caller(stop))

    def wait(self, ms: float) -> None:
        self.world.run(self.world.now_ns + int(ms * MS))

    def _tick(self) -> None:
        if self.session.end_reason is not None:
            return
        self.session.tick(self.world.now_ns)
        self.world.at(self.world.now_ns + 200 * MS, self._tick)

    def from_caller(self, message: bytes) -> None:
        if self.session.end_reason is None:
            self.session.caller_frame(message, self.world.now_ns)
