"""One answer at a time, from sentences to frames: pace, transcription, completion, interruption.

Frames follow wire order of the service: audio and output transcription, generationComplete, and turnComplete
once the server believes the audio played out; or interrupted, then turnComplete, and nothing after it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bench.sim.gemini import wire
from bench.sim.gemini.actions import Say
from bench.sim.gemini.brain import Reply, sentences
from bench.sim.gemini.faults import Afflictions, Moment
from bench.sim.gemini.generation import Chunk, Generation
from bench.sim.gemini.memory import Memory
from bench.sim.gemini.outbox import Outbox
from bench.sim.gemini.pacing import RATE, Pace, Pacer
from bench.sim.gemini.scenario import Scenario
from bench.sim.gemini.timers import Timer, Timers

_MS: Final = 1_000_000
_TAIL: Final = RATE * 40 // 1000  # held back for a frame that bundles audio with turnComplete


class Speaker:
    """Give it a reply; it calls `on_done` after turnComplete."""

    def __init__(
        self,
        *,
        scenario: Scenario,
        transcribe: bool,
        status: Callable[[], str] | None,
        memory: Memory,
        out: Outbox,
        timers: Timers,
        rng: random.Random,
        afflictions: Afflictions,
        on_moment: Callable[[Moment, int], None],
        on_done: Callable[[int], None],
    ) -> None:
        """`transcribe`: send output transcriptions. `status`: interactionStatus for the end of a turn."""
        self._scenario = scenario
        self._transcribe = transcribe
        self._status = status
        self._memory = memory
        self._out = out
        self._timers = timers
        self._rng = rng
        self._afflictions = afflictions
        self._on_moment = on_moment
        self._on_done = on_done
        self._count = 0
        self._generation: Generation | None = None
        self._closing = False  # interrupted; turnComplete is about to follow
        self._timer: Timer | None = None
        self._transcript_timers: list[Timer] = []
        self._transcript_due_ns = 0
        self._reset()

    def _reset(self) -> None:
        self._may_begin = self._pumping = False
        self._first_ns: int | None = None
        self._base_ns = self._base_samples = 0
        self._held: npt.NDArray[np.int16] = np.zeros(0, np.int16)

    @property
    def active(self) -> bool:
        """From the moment a reply is given to its turnComplete."""
        return self._generation is not None or self._closing

    @property
    def interruptible(self) -> bool:
        """There is an answer that could be cut short."""
        return self._generation is not None

    @property
    def sounding(self) -> bool:
        """Its first audio has left."""
        return self._generation is not None and self._first_ns is not None

    def start(self, reply: Reply, not_before_ns: int, now_ns: int) -> None:
        """Say `reply`; its first audio leaves at `not_before_ns`, or when the voice has it."""
        assert not self.active, "the dialogue queues what comes while an answer is on its way"
        self._reset()
        self._count += 1
        pieces = sentences(reply.text) or [reply.text]
        if reply.voice is not None:
            pieces = [reply.text]  # a tone has no sentences
        self._generation = Generation(self._count, pieces, self._rng)
        slow = self._afflictions.use("slow_generation")
        pace = self._scenario.pace
        factor = pace.factor if slow is None else slow.value("factor")
        self._pacer = Pacer(Pace(factor, pace.chunk, pace.hiccup, pace.hiccup_ms), self._rng)
        self._out.note(now_ns, "reply", text=reply.text)
        for index, text in enumerate(pieces):
            self._out.do(Say(self._count, index, text, reply.voice))
        self._timer = self._timers.at(max(not_before_ns, now_ns), self._begin)

    def said(self, number: int, index: int, pcm24k: npt.NDArray[np.int16], now_ns: int) -> None:
        """The voice has said a sentence of generation `number`."""
        if self._generation is None or self._generation.number != number:
            return  # it was interrupted meanwhile
        self._generation.add(index, pcm24k)
        if self._may_begin and not self._pumping:
            self._resume(now_ns)

    def interrupt(self, now_ns: int) -> bool:
        """Stop at once. Returns whether there was an answer to stop."""
        generation = self._generation
        if generation is None:
            return False
        self._cancel()
        if self._first_ns is not None:
            self._memory.remember("model", generation.words_sent)
            self._memory.audio_out_ms += generation.samples_sent / RATE * 1000
        self._generation, self._closing = None, True
        self._out.send({"serverContent": {"interrupted": True}}, now_ns)
        self._out.note(now_ns, "interrupted", sent_ms=round(generation.samples_sent / RATE * 1000))
        sent_ms = generation.samples_sent / RATE * 1000
        self._timers.at(
            now_ns + int(self._rng.uniform(5, 40) * _MS), lambda due_ns: self._complete(due_ns, sent_ms)
        )
        return True

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._afflictions.get("late_transcripts") is None:
            for timer in self._transcript_timers:
                timer.cancel()
        self._transcript_timers.clear()

    def _begin(self, due_ns: int) -> None:
        self._may_begin = True
        if self._generation is not None and self._generation.ready:
            self._resume(due_ns)

    def _resume(self, now_ns: int) -> None:
        """Audio flows (again) from now: the pace counts from here."""
        assert self._generation is not None
        self._pumping = True
        self._base_ns, self._base_samples = now_ns, self._generation.samples_sent
        self._pump(now_ns)

    def _pump(self, due_ns: int) -> None:
        generation = self._generation
        assert generation is not None, "interrupt() cancels this timer"
        if generation.samples_sent and (stall := self._afflictions.pop("stall")):
            self._timer = self._timers.at(due_ns + int(stall.value("ms") * _MS), self._resume)
            return
        chunk = generation.take(self._pacer.chunk_samples(first=self._first_ns is None))
        if chunk is None:
            self._pumping = False
            if generation.finished:
                self._generated(due_ns)
            return
        if generation.finished and self._rng.random() < self._scenario.wire.bundle_final:
            self._held = chunk.pcm[-_TAIL:]
            chunk = Chunk(chunk.pcm[: -self._held.size], chunk.deltas)
        first = self._first_ns is None
        if first:
            self._first_ns = due_ns
            self._out.note(due_ns, "first_audio")
        self._send_chunk(chunk, due_ns)
        if first:
            self._on_moment("reply", due_ns)
            if self._generation is None:
                return  # a fault that strikes at the first audio ended it
        next_ns = self._pacer.due_ns(self._base_ns, generation.samples_sent - self._base_samples)
        self._timer = self._timers.at(max(next_ns, due_ns), self._pump)

    def _send_chunk(self, chunk: Chunk, now_ns: int) -> None:
        delta = "".join(chunk.deltas)
        content: dict[str, Any] = {}
        if chunk.pcm.size:
            content["modelTurn"] = {"parts": self._parts(chunk.pcm)}
        later = self._transcript_delay_ns()
        bundle = bool(content) and self._rng.random() < self._scenario.wire.bundle_transcript
        if delta and self._transcribe and bundle and not later:
            content["outputTranscription"] = {"text": delta}
        if content:
            self._out.send({"serverContent": content}, now_ns)
        if delta and self._transcribe and "outputTranscription" not in content:
            self._send_transcript(delta, now_ns + later, now_ns)
        if self._rng.random() < self._scenario.wire.empty_frame:
            self._out.send({}, now_ns)

    def _parts(self, pcm: npt.NDArray[np.int16]) -> list[dict[str, Any]]:
        parts, start = [], 0
        for samples in self._pacer.part_samples(pcm.size):
            parts.append(wire.inline_audio(pcm[start : start + samples].tobytes()))
            start += samples
        return parts

    def _transcript_delay_ns(self) -> int:
        if late := self._afflictions.get("late_transcripts"):
            return int(late.value("ms") * _MS)
        if self._afflictions.get("unordered_transcripts"):
            return int(self._rng.uniform(0, 2000) * _MS)
        return 0

    def _send_transcript(self, delta: str, due_ns: int, now_ns: int) -> None:
        frame = {"serverContent": {"outputTranscription": {"text": delta}}}
        if due_ns <= now_ns:
            self._out.send(frame, now_ns)
            return
        # Deltas keep their own order, whatever else they fall between.
        self._transcript_due_ns = max(self._transcript_due_ns, due_ns)
        self._transcript_timers.append(
            self._timers.at(self._transcript_due_ns, lambda at_ns: self._out.send(frame, at_ns))
        )

    def _generated(self, now_ns: int) -> None:
        generation = self._generation
        assert generation is not None
        assert self._first_ns is not None, "an answer has at least one chunk"
        if not self._held.size:
            self._out.send({"serverContent": {"generationComplete": True}}, now_ns)
            self._out.note(now_ns, "generation_complete")
        # Field measurement: turnComplete comes at first audio + duration, -244 to +50 ms.
        duration_ms = generation.samples_sent / RATE * 1000
        played_ns = self._first_ns + int((duration_ms + self._rng.uniform(-244, 50)) * _MS)
        self._timer = self._timers.at(
            max(now_ns + 2 * _MS, played_ns), lambda due_ns: self._finish(due_ns, duration_ms)
        )

    def _finish(self, now_ns: int, duration_ms: float) -> None:
        assert self._generation is not None
        self._memory.remember("model", self._generation.words_sent)
        self._memory.audio_out_ms += duration_ms
        self._generation = None
        self._complete(now_ns, duration_ms)

    def _complete(self, now_ns: int, duration_ms: float) -> None:
        content: dict[str, Any] = {}
        if self._held.size and not self._closing:
            content["modelTurn"] = {"parts": [wire.inline_audio(self._held.tobytes())]}
            content["generationComplete"] = True
            self._out.note(now_ns, "generation_complete")
        self._closing = False
        self.complete_turn(now_ns, duration_ms, content)
        self._on_done(now_ns)

    def complete_turn(self, now_ns: int, duration_ms: float, content: dict[str, Any]) -> None:
        """Send turnComplete with `content` beside it: also the end of a turn in which nothing was said."""
        content["turnComplete"] = True
        if self._status is not None:
            content["interactionStatus"] = self._status()
        frame: dict[str, Any] = {"serverContent": content}
        if self._scenario.wire.usage:
            frame["usageMetadata"] = self._memory.usage(duration_ms)
        self._out.send(frame, now_ns)
        self._out.note(now_ns, "turn_complete")
        self._on_moment("turn_complete", now_ns)
