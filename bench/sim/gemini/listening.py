"""The caller's audio: brought to 16 kHz, watched for speech, and kept while it may have to be heard."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import soxr

from bench.sim.gemini.vad import RATE, Change, Event, Vad, VadConfig

_BEFORE: Final = RATE * 3 // 10  # kept before the first voiced sample: soft onsets are below the threshold
_AFTER: Final = RATE * 2 // 10  # and after the last one
_LIMIT: Final = RATE * 60  # of one utterance; its beginning is dropped beyond that


class Listening:
    """Feed it the client's PCM; ask it for the utterance when something happened."""

    def __init__(self, config: VadConfig, *, manual: bool, keep_audio: bool, all_input: bool = False) -> None:
        """`manual`: the client marks activity itself; what it sends between two of them is heard with the
        second if turns include `all_input`, and else not at all. `keep_audio` False: nobody will listen to
        it."""
        self._vad = Vad(config)
        self._manual = manual
        self._all_input = all_input
        self._keep_audio = keep_audio
        self._audio = bytearray()  # int16 at 16 kHz
        self._audio_start = 0  # position of its first sample
        self._onset = 0
        self._manual_speaking = False
        self._turn_end = 0  # position at which the newest turn that the client marked ended
        self._last_ns = 0
        self._resamplers: dict[int, soxr.ResampleStream] = {}

    @property
    def speaking(self) -> bool:
        """The caller is speaking, as far as is known."""
        return self._manual_speaking if self._manual else self._vad.speaking

    @property
    def _end(self) -> int:
        return self._audio_start + len(self._audio) // 2

    def push(self, pcm: bytes, rate: int, now_ns: int) -> list[Event]:
        """Take int16 little-endian mono PCM at `rate` Hz. Returns what changed; nothing in manual mode."""
        samples = np.frombuffer(pcm, np.int16)
        if rate != RATE:
            if rate not in self._resamplers:
                # LQ: a better filter would hold speech back for tens of ms.
                self._resamplers[rate] = soxr.ResampleStream(rate, RATE, 1, dtype="int16", quality="LQ")
            samples = self._resamplers[rate].resample_chunk(samples)
        self._last_ns = now_ns
        self._keep(samples)
        if self._manual:
            return []
        events = self._vad.push(samples, now_ns)
        for event in events:
            if event.change is Change.STARTED:
                self._onset = event.position
        return events

    def stream_end(self) -> list[Event]:
        """The client closed its microphone (`audioStreamEnd`)."""
        return self._vad.flush()

    def activity_start(self, now_ns: int) -> Event:
        """The client says that speech begins."""
        self._manual_speaking = True
        self._onset = self._turn_end if self._all_input else self._end
        return Event(Change.STARTED, now_ns, self._end)

    def activity_end(self, now_ns: int) -> Event | None:
        """The client says that speech is over; None if it hadn't begun."""
        if not self._manual_speaking:
            return None
        self._manual_speaking = False
        self._turn_end = self._end
        return Event(Change.ENDED, self._last_ns or now_ns, self._end)

    def utterance(self, event: Event) -> npt.NDArray[np.int16]:
        """The speech up to `event` (PAUSED or ENDED), with a little around it. A copy."""
        before = 0 if self._manual else _BEFORE
        start = max(self._onset - before, self._audio_start) - self._audio_start
        end = min(event.position + _AFTER, self._end) - self._audio_start
        return np.frombuffer(bytes(self._audio[2 * start : 2 * end]), np.int16)

    def _keep(self, samples: npt.NDArray[np.int16]) -> None:
        if not self._keep_audio:
            self._audio_start += samples.size
            return
        self._audio += samples.tobytes()
        # Outside speech, what may yet turn out to be an onset: the padding and a long committing time.
        limit = _LIMIT if self.speaking or self._all_input else _BEFORE + RATE * 3
        excess = len(self._audio) // 2 - limit
        if excess > RATE:  # in steps, so that bytes aren't moved at every frame
            del self._audio[: 2 * excess]
            self._audio_start += excess
