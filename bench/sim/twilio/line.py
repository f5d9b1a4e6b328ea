"""One leg's audio: the callee's mouth and ear on one sample clock, the recording and the timeline. No
sockets.

`tick(now_ns)` is called every 20 ms from the answer on and returns the frame the callee has just finished
saying. `hear(now_ns, ulaw)` plays audio to the callee; `silence(now_ns)` takes back what isn't heard yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.sim.twilio.callee import Act, Callee, Deed, Ear
from bench.sim.twilio.listening import Bound, Listener
from bench.sim.twilio.mulaw import FRAME, RATE, SILENT_FRAME
from bench.sim.twilio.playout import Playout
from bench.sim.twilio.recording import Recording, Timeline

FRAME_NS = 20_000_000


@dataclass(frozen=True, slots=True)
class Tick:
    """What 20 ms brought."""

    ulaw: bytes  # 160 bytes: what the callee said in them
    ends_ns: int  # when they ended
    deeds: list[Deed]  # what the callee does now


class Line:
    """Answered at `answered_ns` (CLOCK_MONOTONIC), which is sample 0 of everything here."""

    def __init__(self, answered_ns: int, acts: list[Act], timeline: Timeline, *, free: bool) -> None:
        self.answered_ns = answered_ns
        self.recording = Recording()
        self.playout = Playout(answered_ns)
        self.callee = Callee(acts, free=free)
        self.connected = False  # a stream or a bridge listens
        self.frames = 0  # whole frames that have passed
        self._timeline = timeline
        self._mouth = Listener()
        self._ear = Listener()
        self._saying = SILENT_FRAME

    def next_tick_ns(self) -> int:
        """When the present frame ends."""
        return self.answered_ns + (self.frames + 1) * FRAME_NS

    def tick(self) -> Tick:
        """Close the present frame and begin the next; call it as soon as possible after `next_tick_ns`."""
        begin, end = self.frames * FRAME, (self.frames + 1) * FRAME
        said = self._saying
        self.recording.say(begin, said)
        self._note(self._mouth.hear(said), "callee_speaks", "callee_stops")
        self._note(self._ear.hear(self.recording.heard_frame(begin, end)), "heard_start", "heard_stop")
        self.frames += 1
        now_ms = self.frames * 20
        self._saying, deeds = self.callee.next_frame(now_ms, self._hearing(), connected=self.connected)
        return Tick(said, self.answered_ns + self.frames * FRAME_NS, deeds)

    def hear(self, now_ns: int, ulaw: bytes) -> int | None:
        """Queue audio for the ear. Returns its first sample, or None when ten minutes are queued already."""
        start = self.playout.play(now_ns, len(ulaw))
        if start is not None:
            self.recording.hear(start, ulaw)
        return start

    def silence(self, now_ns: int) -> tuple[float, list[str]]:
        """Drop what is queued. Returns (ms dropped, marks that were outstanding)."""
        sample, dropped, marks = self.playout.clear(now_ns)
        self.recording.cut(sample)
        return dropped * 1000 / RATE, marks

    def end(self, now_ns: int) -> int:
        """The call is over. Returns its length in samples."""
        self.silence(now_ns)
        self._note(self._mouth.end(), "callee_speaks", "callee_stops")
        self._note(self._ear.end(), "heard_start", "heard_stop")
        return self.playout.sample_at(now_ns)

    def _hearing(self) -> Ear:
        ear = self._ear
        return Ear(ear.audible, _ms(ear.onset), _ms(ear.last_loud))

    def _note(self, bounds: list[Bound], begins: str, stops: str) -> None:
        for bound in bounds:
            self._timeline.add_sample(bound.sample, begins if bound.audible else stops)


def _ms(sample: int | None) -> float | None:
    return None if sample is None else sample * 1000 / RATE
