"""Where a session's audio comes from, and who listens to the caller's."""

from __future__ import annotations

import re
import wave
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soxr

from bench.sim.gemini.errors import ScenarioError
from bench.sim.gemini.pacing import RATE
from bench.sim.gemini.scenario import VoiceSpec

_MS_A_WORD: Final = 330  # of a tone that stands for words: about 180 words a minute
_NUMBER_PAUSE_MS: Final = 50  # after a word that is a number
NUMBERS: Final = 128
_FADE: Final = RATE * 5 // 1000  # at both ends, so that a tone doesn't click

Pcm = npt.NDArray[np.int16]


def sound(text: str, voice: VoiceSpec) -> Pcm:
    """What `voice` makes of `text`: int16 mono at 24 kHz, read-only. Raises ScenarioError for a bad WAV."""
    if voice.wav is not None:
        return _recording(voice.wav)
    if voice.numbers:
        found = [int(word) for word in re.findall(r"\d+", text)] or [NUMBERS - 1]
        return np.concatenate([_number(number, voice.level_db) for number in found])
    ms = voice.ms if voice.ms is not None else max(1, len(text.split())) * _MS_A_WORD
    return _tone(voice.tone_hz, voice.level_db, ms)


@lru_cache(maxsize=64)
def _tone(tone_hz: float, level_db: float, ms: int) -> Pcm:
    samples = RATE * ms // 1000
    wave_form = np.sin(2 * np.pi * tone_hz / RATE * np.arange(samples)) * 32767 * 10 ** (level_db / 20)
    fade = min(_FADE, samples // 2)
    ramp = np.linspace(0, 1, fade, endpoint=False)
    wave_form[:fade] *= ramp
    wave_form[samples - fade :] *= ramp[::-1]
    pcm: Pcm = np.rint(wave_form).astype(np.int16)
    pcm.flags.writeable = False
    return pcm


def number_hz(number: int) -> float:
    """The tone of a number; after NUMBERS they come again."""
    return 400.0 + 20.0 * (number % NUMBERS)


@lru_cache(maxsize=NUMBERS)
def _number(number: int, level_db: float) -> Pcm:
    pause = np.zeros(RATE * _NUMBER_PAUSE_MS // 1000, np.int16)
    return np.concatenate((_tone(number_hz(number), level_db, _MS_A_WORD - _NUMBER_PAUSE_MS), pause))


@lru_cache(maxsize=64)
def _recording(path: Path) -> Pcm:
    try:
        with wave.open(str(path), "rb") as file:
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                raise ScenarioError(f"{path}: not 16-bit mono")
            rate = file.getframerate()
            pcm: Pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    except (OSError, EOFError, wave.Error) as error:
        raise ScenarioError(f"{path}: {error}") from None
    if rate != RATE:
        pcm = soxr.resample(pcm, rate, RATE, quality="VHQ")
    pcm.flags.writeable = False
    return pcm
