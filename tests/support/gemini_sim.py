"""The Gemini simulator in tests: its session in virtual time, and the whole of it on a free port."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from aiohttp import web
from websockets.asyncio.client import ClientConnection, connect

from bench.sim.gemini import admin, scenario
from bench.sim.gemini.actions import Action, Close, Hear, Note, Say, Send
from bench.sim.gemini.faults import Fault
from bench.sim.gemini.mouths import sound
from bench.sim.gemini.resumption import Handles
from bench.sim.gemini.scenario import Scenario
from bench.sim.gemini.server import Simulator
from bench.sim.gemini.session import Connection, Session

MS = 1_000_000
GOLDEN = Path(__file__).parents[2] / "protos" / "golden" / "gemini"
PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
SETUP = {"setup": {"model": "models/gemini-3.8-live"}}

# Every delay fixed and nothing left to chance, so that a test can say when.
STEADY: dict[str, Any] = {
    "name": "steady",
    "delays": {
        "setup": 300,
        "think_speech": 300,
        "think_text": 500,
        "think_tool": 900,
        "interrupt": 250,
        "reissue": 3000,
        "transcript": 50,
        "close_echo": 20,
    },
    "pace": {"hiccup": 0},
    "wire": {"bundle_final": 0, "empty_frame": 0},
    "script": [{"heard": "good morning", "reply": "one two three", "hearing": 100, "voice": {"ms": 3000}}],
}


def steady(**changes: Any) -> Scenario:
    """The steady scenario with some top-level fields replaced."""
    return Scenario.model_validate({**STEADY, **changes})


def tone(ms: int, *, hz: float = 300, rate: int = 16_000, amplitude: int = 8000) -> bytes:
    """int16 mono PCM that the simulator takes for speech."""
    times = np.arange(rate * ms // 1000) / rate
    return np.rint(amplitude * np.sin(2 * np.pi * hz * times)).astype("<i2").tobytes()


def silence(ms: int, *, rate: int = 16_000) -> bytes:
    return bytes(2 * (rate * ms // 1000))


def audio_frame(pcm: bytes, rate: int = 16_000) -> dict[str, Any]:
    data = base64.b64encode(pcm).decode()
    return {"realtimeInput": {"audio": {"mimeType": f"audio/pcm;rate={rate}", "data": data}}}


def audio_of(frames: Iterable[dict[str, Any]]) -> bytes:
    """The PCM of some server frames, in order."""
    parts = [
        part["inlineData"]["data"]
        for frame in frames
        for part in frame.get("serverContent", {}).get("modelTurn", {}).get("parts", [])
    ]
    return b"".join(base64.b64decode(data) for data in parts)


def words_of(frames: Iterable[dict[str, Any]], field: str) -> str:
    """The transcription of some server frames, deltas joined."""
    deltas = [frame.get("serverContent", {}).get(field, {}).get("text", "") for frame in frames]
    return "".join(deltas)


class Played:
    """A session in virtual time: `at_ms` moves only when told to. What it sends is kept with its time."""

    def __init__(
        self,
        chosen: Scenario | None = None,
        *,
        faults: Iterable[dict[str, Any]] = (),
        listens: bool = False,
        handles: Handles | None = None,
        session_id: str = "g1",
        connection: Connection | None = None,
        start_ms: float = 0,
    ) -> None:
        self.at_ms = start_ms
        self.sent: list[tuple[float, dict[str, Any]]] = []
        self.notes: list[Note] = []
        self.others: list[Action] = []
        self.session = Session(
            session_id,
            connection or Connection("v1beta", False, "a-key"),
            chosen or steady(),
            handles or Handles(),
            [Fault.model_validate(fault) for fault in faults],
            random.Random(7),
            int(start_ms * MS),
            listens=listens,
        )

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [frame for _, frame in self.sent]

    def send(self, message: dict[str, Any] | bytes) -> None:
        """The client writes a frame now."""
        raw = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.session.on_frame(raw, int(self.at_ms * MS))
        self._collect()

    def open(self, **setup: Any) -> Played:
        """Set up, and wait until that is complete."""
        self.send({"setup": {"model": "models/gemini-3.8-live", **setup}})
        self.run(400)
        self.sent.clear()
        return self

    def run(self, ms: float) -> None:
        """Let time pass, stopping wherever something is due."""
        end_ms = self.at_ms + ms
        while (due_ns := self.session.next_ns) is not None and due_ns <= end_ms * MS:
            self.at_ms = max(self.at_ms, due_ns / MS)
            self.session.advance(due_ns)
            self._collect()
        self.at_ms = end_ms

    def speak(self, ms: int, pcm: bytes | None = None) -> None:
        """The caller speaks (or `pcm` sounds) in real time, in 20 ms frames."""
        pcm = tone(ms) if pcm is None else pcm
        for start in range(0, len(pcm), 640):
            self.run(20)
            self.send(audio_frame(pcm[start : start + 640]))

    def hush(self, ms: int) -> None:
        """The caller's line is silent for so long."""
        self.speak(ms, silence(ms))

    def heard(self, job: int, words: str) -> None:
        """The hearing has finished a job."""
        self.session.on_heard(job, words, 1.0, int(self.at_ms * MS))
        self._collect()

    def said(self, say: Say, pcm24k: npt.NDArray[np.int16]) -> None:
        """The voice has said a sentence."""
        self.session.on_said(say.generation, say.index, pcm24k, int(self.at_ms * MS))
        self._collect()

    def times(self, field: str) -> list[float]:
        """When frames left whose serverContent (or top level) has this field."""
        return [
            at_ms for at_ms, frame in self.sent if field in frame or field in frame.get("serverContent", {})
        ]

    def noted(self, kind: str) -> list[Note]:
        return [note for note in self.notes if note.kind == kind]

    @property
    def closes(self) -> list[Close]:
        return [action for action in self.others if isinstance(action, Close)]

    @property
    def hearings(self) -> list[Hear]:
        return [action for action in self.others if isinstance(action, Hear)]

    @property
    def says(self) -> list[Say]:
        return [action for action in self.others if isinstance(action, Say)]

    def _collect(self) -> None:
        while actions := self.session.take():
            for action in actions:
                if isinstance(action, Send):
                    self.sent.append((self.at_ms, action.frame))
                    self.notes.append(action.note)
                elif isinstance(action, Note):
                    self.notes.append(action)
                else:
                    self.others.append(action)
                if isinstance(action, Say) and action.voice is not None:
                    pcm = sound(action.text, action.voice)
                    self.session.on_said(action.generation, action.index, pcm, int(self.at_ms * MS))


class Running:
    """A simulator on a free port, with its admin side."""

    def __init__(self, simulator: Simulator, admin_url: str) -> None:
        self.simulator = simulator
        self.admin = admin_url

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.simulator.port}"

    @asynccontextmanager
    async def session(self, setup: dict[str, Any] | None = None) -> AsyncIterator[ClientConnection]:
        """A raw client whose setup is complete."""
        options: dict[str, Any] = {"compression": None, "ping_interval": None, "max_size": None}
        async with connect(f"{self.url}{PATH}?key=k", **options) as socket:
            await socket.send(json.dumps(setup or SETUP))
            assert "setupComplete" in json.loads(await socket.recv())
            yield socket


@asynccontextmanager
async def running(
    chosen: Scenario | None = None, *, mode: str = "scripted", tls: Any = None, cache_dir: Path | None = None
) -> AsyncIterator[Running]:
    """A simulator with sockets, in this process."""
    quick = steady(delays={**STEADY["delays"], "setup": 10, "think_speech": 100, "think_text": 100})
    picked = chosen or (quick if mode == "scripted" else scenario.load(scenario.DEFAULTS["speech"]))
    simulator = Simulator(picked, mode="speech" if mode == "speech" else "scripted", cache_dir=cache_dir)
    await simulator.start("127.0.0.1", 0, tls)
    runner = web.AppRunner(admin.build(simulator), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        await simulator.ready()
        yield Running(simulator, f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await simulator.stop()
        await runner.cleanup()
