"""What was said and heard on one call, sample by sample, and the line of events beside it."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np

from bench.sim.twilio.mulaw import NS_PER_SAMPLE, RATE, SILENCE, decode

MAX_SAMPLES = 4 * 3600 * RATE  # Twilio's own limit of a call, 4 h; what is beyond is not kept
MAX_EVENTS = 50_000


class Recording:
    """Two channels of μ-law, 8 kHz, sample 0 is the answer. Kept as μ-law: 16 kB per second of call."""

    def __init__(self) -> None:
        self.said = bytearray()
        self.heard = bytearray()

    def say(self, sample: int, ulaw: bytes) -> None:
        """What the callee says from `sample` on."""
        _write(self.said, sample, ulaw)

    def hear(self, sample: int, ulaw: bytes) -> None:
        """What the callee is to hear from `sample` on, unless `cut` takes it back first."""
        _write(self.heard, sample, ulaw)

    def cut(self, sample: int) -> None:
        """Nothing is heard from `sample` on."""
        del self.heard[sample:]

    def heard_frame(self, begin: int, end: int) -> bytes:
        """Samples `begin` to `end` of what was heard; silence where there was none."""
        return bytes(self.heard[begin:end]).ljust(end - begin, bytes([SILENCE]))

    def wav(self, samples: int) -> bytes:
        """A WAV file of `samples` a channel: 8 kHz, 16-bit, left what is said, right what is heard."""
        channels = np.zeros((samples, 2), dtype=np.int16)
        for column, ulaw in enumerate((self.said, self.heard)):
            pcm = decode(bytes(ulaw[:samples]))
            channels[: len(pcm), column] = pcm
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(channels.tobytes())
        return buffer.getvalue()


def _write(channel: bytearray, sample: int, ulaw: bytes) -> None:
    if sample + len(ulaw) > MAX_SAMPLES:
        return
    if sample > len(channel):
        channel.extend(bytes([SILENCE]) * (sample - len(channel)))
    channel[sample : sample + len(ulaw)] = ulaw


class Timeline:
    """What happened on one call, with CLOCK_MONOTONIC times."""

    def __init__(self) -> None:
        self.answered_ns: int | None = None
        self.dropped = 0
        self._events: list[dict[str, Any]] = []

    def add(self, t_ns: int, kind: str, **fields: Any) -> None:
        """Note that `kind` happened at `t_ns`."""
        if len(self._events) >= MAX_EVENTS:
            self.dropped += 1
            return
        self._events.append({"t_ns": t_ns, "kind": kind, **fields})

    def add_sample(self, sample: int, kind: str, **fields: Any) -> None:
        """Note that `kind` happened at `sample` after the answer."""
        assert self.answered_ns is not None  # samples are counted from the answer
        self.add(self.answered_ns + sample * NS_PER_SAMPLE, kind, **fields)

    def events(self) -> list[dict[str, Any]]:
        """Events by time; `ms` is since the answer, null on a call that was never answered."""
        zero = self.answered_ns
        return [
            {"t_ns": e["t_ns"], "ms": None if zero is None else round((e["t_ns"] - zero) / 1e6, 3), **e}
            for e in sorted(self._events, key=lambda e: e["t_ns"])
        ]
