"""Voice activity detection by energy, with the knobs of `realtimeInputConfig.automaticActivityDetection`.

Runs on audio time: silence counts when it arrives as audio, and a client that stops sending is neither
speaking nor silent (it says so with `audioStreamEnd`). So a burst and a paced stream end at the same sample.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

RATE: Final = 16_000
FRAME: Final = RATE // 50  # 20 ms
FRAME_MS: Final = 20

_GAP_MS: Final = 120  # a stop consonant; longer silence before the start is committed begins a new attempt
_HYSTERESIS_DB: Final = 4.0  # speech goes on down to this much below the level that started it
_FLOOR_DB: Final = (-75.0, -40.0)  # a noise floor outside this is no room or no floor
_FLOOR_RISE_DB: Final = 0.02  # a frame: 1 dB/s, so that a sentence doesn't become its own noise


class Change(enum.Enum):
    """What `Vad.push` found."""

    STARTED = "started"  # speech is committed
    PAUSED = "paused"  # silence has lasted long enough to guess that the turn is over
    RESUMED = "resumed"  # it wasn't
    ENDED = "ended"  # the turn is over


@dataclass(frozen=True, slots=True)
class Event:
    """`voice_ns`: when the sample it is about arrived (the first voiced one, or the last); `position`: its
    index in the stream at 16 kHz."""

    change: Change
    voice_ns: int
    position: int


@dataclass(frozen=True, slots=True)
class VadConfig:
    """Levels in dBFS, durations in ms of audio.

    Source for defaults: the Live API reference (both sensitivities HIGH, prefix padding about 20 ms, silence
    about 800 ms) and field reports (100 ms of noise doesn't interrupt, 400 ms of speech does).
    """

    level_db: float = -45.0  # at least this loud,
    margin_db: float = 9.0  # and this far above the noise floor
    speech_ms: int = 200  # voiced this long before speech is committed
    silence_ms: int = 800
    pause_ms: int = 400  # when to guess the end

    @staticmethod
    def from_setup(detection: dict[str, Any], *, pause_at: float = 0.5) -> VadConfig:
        """From `automaticActivityDetection` with lowerCamelCase keys. `pause_at`: share of the silence."""
        quiet_start = detection.get("startOfSpeechSensitivity") == "START_SENSITIVITY_LOW"
        quiet_end = detection.get("endOfSpeechSensitivity") == "END_SENSITIVITY_LOW"
        # Without a duration, low end sensitivity waits longer, as the reference describes it.
        silence_ms = detection.get("silenceDurationMs") or (1100 if quiet_end else 800)
        speech_ms = max(320 if quiet_start else 200, detection.get("prefixPaddingMs", 20))
        return VadConfig(
            level_db=-35.0 if quiet_start else -45.0,
            margin_db=13.0 if quiet_start else 9.0,
            speech_ms=speech_ms,
            silence_ms=silence_ms,
            pause_ms=int(silence_ms * pause_at),
        )


class Vad:
    """Feed it int16 mono at 16 kHz in any chunks; it returns what changed."""

    def __init__(self, config: VadConfig) -> None:
        self._config = config
        self._rest: npt.NDArray[np.int16] = np.zeros(0, np.int16)
        self._floor_db = -60.0
        self._position = 0  # samples in whole frames so far
        self.speaking = False
        self._voiced_ms = 0
        self._silent_ms = 0
        self._paused = False
        self._onset = (0, 0)  # (arrival ns, position) of the first voiced frame of this attempt
        self._last_voice = (0, 0)

    def push(self, pcm16k: npt.NDArray[np.int16], now_ns: int) -> list[Event]:
        """Take audio that arrived at `now_ns`."""
        if self._rest.size:
            pcm16k = np.concatenate((self._rest, pcm16k))
        whole = pcm16k.size // FRAME * FRAME
        self._rest = pcm16k[whole:]
        events: list[Event] = []
        for start in range(0, whole, FRAME):
            frame = pcm16k[start : start + FRAME].astype(np.float32)
            self._frame(_level_db(frame), now_ns, events)
            self._position += FRAME
        return events

    def flush(self) -> list[Event]:
        """The stream was closed: speech that was going on has ended."""
        self._rest = np.zeros(0, np.int16)
        return [self._end()] if self.speaking else []

    def _frame(self, level_db: float, now_ns: int, events: list[Event]) -> None:
        threshold = max(self._config.level_db, self._floor_db + self._config.margin_db)
        if self.speaking:
            threshold -= _HYSTERESIS_DB
        voiced = level_db >= threshold
        self._track_floor(level_db)
        if voiced:
            self._last_voice = (now_ns, self._position + FRAME)
            if self._voiced_ms == 0:
                self._onset = (now_ns, self._position)
            self._voiced_ms += FRAME_MS
            self._silent_ms = 0
            if not self.speaking and self._voiced_ms >= self._config.speech_ms:
                self.speaking = True
                events.append(Event(Change.STARTED, *self._onset))
            elif self._paused:
                self._paused = False
                events.append(Event(Change.RESUMED, now_ns, self._position))
            return
        self._silent_ms += FRAME_MS
        if not self.speaking:
            if self._silent_ms > _GAP_MS:
                self._voiced_ms = 0
            return
        if not self._paused and self._config.pause_ms <= self._silent_ms < self._config.silence_ms:
            self._paused = True
            events.append(Event(Change.PAUSED, *self._last_voice))
        if self._silent_ms >= self._config.silence_ms:
            events.append(self._end())

    def _end(self) -> Event:
        self.speaking = self._paused = False
        self._voiced_ms = 0
        return Event(Change.ENDED, *self._last_voice)

    def _track_floor(self, level_db: float) -> None:
        low, high = _FLOOR_DB
        if level_db < self._floor_db:
            self._floor_db += 0.3 * (level_db - self._floor_db)
        else:
            self._floor_db += _FLOOR_RISE_DB
        self._floor_db = min(max(self._floor_db, low), high)


def _level_db(frame: npt.NDArray[np.float32]) -> float:
    power = float(np.dot(frame, frame)) / frame.size
    return 10.0 * math.log10(power + 1e-3) - 90.309  # 20 * log10(32768)
