"""Everything that is heard on a call, made ready as 8 kHz μ-law before it is needed: files, texts, tones.

Work is done off the socket loop: files are resampled by soxr in a thread, texts are spoken in the speech
process, which starts at the first text.
"""

from __future__ import annotations

import asyncio
import io
import os
import wave
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from bench.sim.speech.errors import SpeechUnavailable
from bench.sim.speech.worker import SpeechWorker
from bench.sim.twilio import mulaw
from bench.sim.twilio.callee import Act, Interrupt, PressKeys, Rest, RingOff, Speak, WaitUntil
from bench.sim.twilio.persona import BargeIn, Beep, HangUp, Pause, Persona, Play, Press, Say, Step, Wait

DTMF_HZ = {
    key: (low, high)
    for low, row in zip((697, 770, 852, 941), ("123A", "456B", "789C", "*0#D"), strict=True)
    for key, high in zip(row, (1209, 1336, 1477, 1633), strict=True)
}
BEEP_MS = 500
_CACHE_SIZE = 256
AUDIO = Path(__file__).parents[2] / "audio"
# A machine that was given no script: it greets, beeps, and listens for half a minute.
_VOICEMAIL: tuple[Step, ...] = (Play(str(AUDIO / "austen-0880.wav")), Beep(), Pause(30_000))


class AudioError(ValueError):
    """Audio that can't be had: no such file, no WAV, or no voice here. The text says which."""


class Voice:
    """Files and texts as μ-law; each is made once."""

    def __init__(self, *, speech: bool) -> None:
        self._speech = speech
        self._worker: SpeechWorker | None = None
        self._starting = asyncio.Lock()
        self._cache: dict[tuple[str, float], bytes] = {}

    async def file(self, path: str) -> bytes:
        """A WAV file of any rate. Raises `AudioError`."""
        try:
            key = (path, (await asyncio.to_thread(os.stat, path)).st_mtime)
            if key not in self._cache:
                self._remember(key, await asyncio.to_thread(lambda: read_wav(Path(path).read_bytes())))
        except OSError as error:
            raise AudioError(f"{path}: {error.strerror}") from None
        return self._cache[key]

    async def text(self, text: str) -> bytes:
        """A text in the simulator's voice. Raises `AudioError`."""
        if not self._speech:
            raise AudioError(f"no voice here to say {text!r}: the simulator runs with --no-speech")
        try:
            async with self._starting:
                if self._worker is None:
                    worker = SpeechWorker(hearing=False)
                    await worker.start()
                    self._worker = worker
            return mulaw.encode(await self._worker.say(text, mulaw.RATE))
        except SpeechUnavailable as error:
            raise AudioError(str(error)) from None

    async def text_or_hum(self, text: str) -> bytes:
        """A text as TwiML's `<Say>` needs it: without a voice, a hum as long as the words would take."""
        return await self.text(text) if self._speech else tone((180.0, 360.0), 65 * len(text), 0.1)

    async def prepare(self, persona: Persona) -> list[Act]:
        """The persona's script with all its audio. Raises `AudioError`."""
        acts: list[Act] = []
        script = persona.script or (_VOICEMAIL if persona.outcome == "voicemail" else ())
        for step in script:
            match step:
                case Play() | Say():
                    acts.append(await self._speak(step))
                case Beep():
                    acts.append(Speak(tone((1000.0,), BEEP_MS, 0.4), "beep"))
                case Pause(ms):
                    acts.append(Rest(ms))
                case Press(digits):
                    acts.append(PressKeys(digits))
                case Wait():
                    acts.append(WaitUntil(step.for_what, step.timeout_ms, step.for_ms))
                case BargeIn():
                    acts.append(Interrupt(await self._speak(step.speech), step.after_ms, step.timeout_ms))
                case HangUp():
                    acts.append(RingOff())
        if acts and persona.hangup_after_script:
            acts.append(RingOff())
        return acts

    async def close(self) -> None:
        """End the speech process, if one was started."""
        if self._worker is not None:
            await self._worker.close()

    async def _speak(self, step: Play | Say) -> Speak:
        if isinstance(step, Play):
            return Speak(await self.file(step.path), Path(step.path).name)
        return Speak(await self.text(step.text), step.text)

    def _remember(self, key: tuple[str, float], ulaw: bytes) -> None:
        if len(self._cache) >= _CACHE_SIZE:
            del self._cache[next(iter(self._cache))]
        self._cache[key] = ulaw


def read_wav(data: bytes) -> bytes:
    """A PCM WAV file (8 or 16 bit, any rate and channels) as 8 kHz μ-law. Raises `AudioError`."""
    try:
        with wave.open(io.BytesIO(data)) as file:
            rate, channels, width = file.getframerate(), file.getnchannels(), file.getsampwidth()
            raw = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise AudioError(f"not a PCM WAV file: {error}") from None
    if width == 2:
        pcm = np.frombuffer(raw, dtype="<i2").astype(np.float32)
    elif width == 1:
        pcm = (np.frombuffer(raw, dtype=np.uint8).astype(np.float32) - 128) * 256
    else:
        raise AudioError(f"a WAV file of {8 * width} bits a sample; 8 and 16 are read")
    mono = pcm.reshape(-1, channels).mean(axis=1)
    return mulaw.encode(_to_int16(soxr.resample(mono, rate, mulaw.RATE, quality="VHQ")))


def tone(frequencies: tuple[float, ...], ms: int, level: float) -> bytes:
    """A sum of sines, `level` of full scale each, with 5 ms ramps, as μ-law."""
    samples = ms * mulaw.RATE // 1000
    t = np.arange(samples) / mulaw.RATE
    wave_sum = np.sum([np.sin(2 * np.pi * f * t) for f in frequencies], axis=0) * level * 32767
    ramp = np.minimum(1.0, np.minimum(np.arange(samples), np.arange(samples)[::-1]) / 40)
    return mulaw.encode(_to_int16(wave_sum * ramp))


def keys(digits: str) -> bytes:
    """DTMF as the far end hears it: 100 ms a key, 100 ms between; `w` is half a second. ITU-T Q.23."""
    parts = []
    for key in digits:
        if key in DTMF_HZ:
            parts.append(tone(DTMF_HZ[key], 100, 0.2) + bytes([mulaw.SILENCE]) * (mulaw.RATE // 10))
        else:
            parts.append(bytes([mulaw.SILENCE]) * (mulaw.RATE // 2))
    return b"".join(parts)


def _to_int16(samples: NDArray[np.floating]) -> NDArray[np.int16]:
    return np.asarray(np.clip(np.rint(samples), -32768, 32767), dtype=np.int16)
