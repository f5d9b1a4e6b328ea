"""Whose turn it is: the caller's speech and text in, the model's answers out.

Takes what the client sent and what was heard; decides what to answer and when; the Speaker says it.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bench.sim.gemini import codes
from bench.sim.gemini.actions import ForgetHearing, Hear
from bench.sim.gemini.brain import Brain, Reply, after_tool, quoted_greeting
from bench.sim.gemini.errors import Refused
from bench.sim.gemini.faults import Afflictions, Moment
from bench.sim.gemini.listening import Listening
from bench.sim.gemini.memory import Memory
from bench.sim.gemini.notes import take_up
from bench.sim.gemini.outbox import Outbox
from bench.sim.gemini.scenario import Delay, Scenario, draw_ns
from bench.sim.gemini.speaker import Speaker
from bench.sim.gemini.timers import Timer, Timers
from bench.sim.gemini.tools import ToolCalls
from bench.sim.gemini.vad import RATE as VAD_RATE
from bench.sim.gemini.vad import Change, Event
from bench.sim.gemini.validate import Setup, text_of

_MS: Final = 1_000_000


@dataclass(slots=True)
class _Job:
    """One transcription on its way. `endpoint_ns` None: a guess, the turn may go on."""

    number: int
    endpoint_ns: int | None
    words: str | None = None


@dataclass(frozen=True, slots=True)
class _Prompt:
    """What waits to be answered."""

    words: str
    asked_ns: int
    delay: Delay
    reply: Reply | None = None  # already decided


class Dialogue:
    """The conversation of one open session."""

    def __init__(
        self,
        *,
        setup: Setup,
        scenario: Scenario,
        brain: Brain,
        listens: bool,
        memory: Memory,
        out: Outbox,
        timers: Timers,
        rng: random.Random,
        afflictions: Afflictions,
        on_moment: Callable[[Moment, int], None],
        on_resumable: Callable[[bool, int], None],
    ) -> None:
        """`listens`: audio is really transcribed. `on_resumable`: generation began (False) or ended."""
        self._setup = setup
        self._scenario = scenario
        self._brain = brain
        self._listens = listens
        self._memory = memory
        self._out = out
        self._timers = timers
        self._rng = rng
        self._afflictions = afflictions
        self._on_moment = on_moment
        self._on_resumable = on_resumable
        self._listening = Listening(
            setup.vad, manual=setup.manual_activity, all_input=setup.all_input, keep_audio=listens
        )
        self._speaker = Speaker(
            scenario=scenario,
            transcribe=setup.output_transcription or scenario.wire.unasked_transcripts,
            status=self._status if setup.model.endswith("extended-thinking") else None,
            memory=memory,
            out=out,
            timers=timers,
            rng=rng,
            afflictions=afflictions,
            on_moment=on_moment,
            on_done=self._on_answered,
        )
        self._tools = ToolCalls(scenario, out, timers, rng)
        self._codes = codes.Reader()
        self._instruction = setup.instruction
        self._seeding = setup.seed_history
        self._queue: deque[_Prompt] = deque()
        self._jobs: dict[int, _Job] = {}
        self._guess: _Job | None = None
        self._job_count = 0
        self._interrupting: Timer | None = None
        self._carried = ""  # said before an answer that the caller didn't wait for
        self._beside = ""  # written within the caller's turn

    @property
    def state(self) -> str:
        """For the admin page."""
        if self._speaker.sounding:
            return "speaking"
        if self._speaker.active or self._jobs:
            return "thinking"
        if self._tools.pending:
            return "tool"
        return "listening" if self._listening.speaking else "idle"

    def _status(self) -> str:
        """interactionStatus: whether more turns of the model follow without the caller."""
        return "IN_PROGRESS" if self._queue or self._tools.pending else "IDLE"

    # ---- what the client sends

    def audio(self, pcm: bytes, rate: int, now_ns: int) -> None:
        """A chunk of the caller's audio."""
        if len(pcm) % 2:
            raise Refused(1007, "Request contains an invalid argument.")
        self._seeding = False
        self._memory.audio_in_ms += len(pcm) / 2 / rate * 1000
        if self._scenario.codes:
            codes.add(self._memory.codes, self._codes.read(np.frombuffer(pcm, np.int16)))
        for event in self._listening.push(pcm, rate, now_ns):
            self._on_activity(event, now_ns)

    def audio_stream_end(self, now_ns: int) -> None:
        """The client closed its microphone."""
        if self._setup.manual_activity:
            raise Refused(1007, "Request contains an invalid argument.")
        for event in self._listening.stream_end():
            self._on_activity(event, now_ns)

    def activity(self, now_ns: int, *, start: bool) -> None:
        """activityStart or activityEnd."""
        if not self._setup.manual_activity:
            raise Refused(
                1007,
                "Explicit activity control is not supported when automatic activity detection is enabled.",
            )
        event = self._listening.activity_start(now_ns) if start else self._listening.activity_end(now_ns)
        if event is not None:
            self._on_activity(event, now_ns)

    def realtime_text(self, words: str, now_ns: int) -> None:
        """Text that, unlike clientContent, doesn't interrupt. Within a turn that the client has marked it
        belongs to that turn, and is answered with it."""
        self._memory.add_text(words)
        if self._setup.manual_activity and self._listening.speaking:
            self._memory.remember("user", words)
            self._beside = f"{self._beside} {words}".strip()
            return
        self._ask(words, now_ns, self._scenario.delays.think_text)

    def client_content(self, body: dict[str, Any], now_ns: int) -> None:
        """History, and with turnComplete a wish for an answer. Interrupts what is being said."""
        turns, complete = body.get("turns", []), body.get("turnComplete", False)
        asked = ""
        for turn in turns:
            words = text_of([turn])
            if turn.get("role") != "model":
                asked = words
            elif asked:
                self._memory.saying = self._brain.recall(asked, self._memory).text
                self._memory.told.append(asked)
                asked = ""
            self._memory.remember(turn.get("role", "user"), words)
            self._memory.add_text(words)
        if self._seeding:
            self._seeding = not complete  # initial history: its turnComplete asks for no answer
            return
        self._cut(now_ns)
        if not complete:
            return
        last = text_of(turns[-1:]) if turns and turns[-1].get("role", "user") == "user" else ""
        if last:
            self._ask(last, now_ns, self._scenario.delays.think_text)
            return
        wanted = quoted_greeting(self._instruction) if not self._memory.last_said else None
        reply = self._brain.say(wanted, self._memory) if wanted else self._brain.greet(self._memory)
        self._answer(_Prompt("", now_ns, self._scenario.delays.think_text, reply), now_ns)

    def tool_response(self, body: dict[str, Any], now_ns: int) -> None:
        """Answers to the model's calls."""
        for answer in self._tools.answer(body.get("functionResponses", [])):
            if answer.scheduling == "SILENT":
                self._memory.remember("tool", str(answer.response))
                if not self._speaker.active and not self._tools.pending:
                    self._on_resumable(True, now_ns)
                continue
            if answer.scheduling == "INTERRUPT":
                self._cut(now_ns)
            words = after_tool(answer.call.tool, answer.response, self._memory.slots)
            if self._afflictions.use("tool_ignored"):
                self._memory.saying, self._memory.unanswered = words, ""
                continue
            reply = Reply(words, voice=self._brain.say(words, self._memory).voice)
            self._answer(_Prompt("", now_ns, self._scenario.delays.think_tool, reply), now_ns)

    def instruct(self, instruction: str) -> None:
        """New system instruction (contextUpdate)."""
        self._instruction = instruction
        self._memory.add_text(instruction)

    # ---- what the driver brings

    def heard(self, number: int, words: str, ms: float, now_ns: int) -> None:
        """A transcription is done; `ms` is what it took."""
        job = self._jobs.get(number)
        if job is None:
            return  # the caller went on speaking
        self._out.note(now_ns, "heard", text=words, ms=round(ms, 1))
        job.words = words
        if job.endpoint_ns is not None:
            del self._jobs[number]
            self._on_words(words, job.endpoint_ns, now_ns)

    def said(self, number: int, index: int, pcm24k: npt.NDArray[np.int16], now_ns: int) -> None:
        """The voice has said a sentence."""
        self._speaker.said(number, index, pcm24k, now_ns)

    def phantom_interruption(self, now_ns: int) -> None:
        """A fault: interrupted, although nobody spoke."""
        if not self._speaker.interrupt(now_ns):
            self._out.send({"serverContent": {"interrupted": True}}, now_ns)

    # ---- the caller's turn

    def _on_activity(self, event: Event, now_ns: int) -> None:
        if event.change is Change.STARTED:
            self._out.note(event.voice_ns, "speech_started", past=True, committed_ns=now_ns)
            self._on_moment("speech_started", now_ns)
            self._signal_activity("ACTIVITY_START", "VAD_SIGNAL_TYPE_SOS", event, now_ns)
            if not self._setup.no_interruption and (self._speaker.interruptible or self._tools.blocked):
                delay_ns = draw_ns(self._scenario.delays.interrupt, self._rng)
                self._interrupting = self._timers.at(now_ns + delay_ns, self._interrupt)
        elif event.change is Change.PAUSED:
            if self._listens:
                self._guess = self._listen(event, None)
        elif event.change is Change.RESUMED:
            self._forget_guess()
        else:
            self._on_endpoint(event, now_ns)

    def _on_endpoint(self, event: Event, now_ns: int) -> None:
        self._out.note(event.voice_ns, "speech_ended", past=True)
        self._out.note(now_ns, "endpoint")
        self._signal_activity("ACTIVITY_END", "VAD_SIGNAL_TYPE_EOS", event, now_ns)
        if self._interrupting is not None and self._interrupting.callback is not None:
            self._interrupting.cancel()
            self._interrupt(now_ns)
        step = self._brain.hears(self._memory)
        if step is not None:
            words = step.heard or ""
            if not words:
                self._memory.turns += 1
            due_ns = now_ns + draw_ns(step.hearing, self._rng)
            job = _Job(self._next_job(), now_ns)
            self._jobs[job.number] = job
            self._timers.at(
                due_ns, lambda at_ns: self.heard(job.number, words, (at_ns - now_ns) / _MS, at_ns)
            )
            return
        guess, self._guess = self._guess, None
        if guess is None:
            self._listen(event, now_ns)
        elif guess.words is None:
            guess.endpoint_ns = now_ns
        else:
            del self._jobs[guess.number]
            self._on_words(guess.words, now_ns, now_ns)

    def _next_job(self) -> int:
        self._job_count += 1
        return self._job_count

    def _listen(self, event: Event, endpoint_ns: int | None) -> _Job:
        job = _Job(self._next_job(), endpoint_ns)
        self._jobs[job.number] = job
        self._out.do(Hear(job.number, self._listening.utterance(event)))
        return job

    def _forget_guess(self) -> None:
        if self._guess is not None:
            del self._jobs[self._guess.number]
            self._out.do(ForgetHearing(self._guess.number))
            self._guess = None

    def _on_words(self, words: str, endpoint_ns: int, now_ns: int) -> None:
        if words:
            self._send_input_transcription(words, now_ns)
            self._memory.remember("user", words)
        words, self._carried = f"{self._carried} {words}".strip() or self._beside, ""
        self._beside = ""
        if not words:
            return
        if self._listening.speaking and not self._setup.no_interruption:
            self._carried = words  # the caller is already going on: one turn with what follows
            return
        self._ask(words, endpoint_ns, self._scenario.delays.think_speech, now_ns, spoken=True)

    def _send_input_transcription(self, words: str, now_ns: int) -> None:
        if not self._setup.input_transcription:
            return
        delay_ns = draw_ns(self._scenario.delays.transcript, self._rng)
        if late := self._afflictions.get("late_transcripts"):
            delay_ns = int(late.value("ms") * _MS)
        elif self._afflictions.get("unordered_transcripts"):
            delay_ns = int(self._rng.uniform(0, 2500) * _MS)
        due_ns = now_ns + delay_ns
        spoken = words.split()
        if self._scenario.wire.interim_transcripts:
            interim = {"text": " ".join(spoken[: (len(spoken) + 1) // 2])}
            self._send_later({"serverContent": {"interimInputTranscription": interim}}, now_ns)
        while spoken:
            count = self._rng.choice((1, 2, 3))
            transcription: dict[str, Any] = {"text": " " + " ".join(spoken[:count])}
            spoken = spoken[count:]
            if not spoken and self._rng.random() < self._scenario.wire.finished_flag:
                transcription["finished"] = True
            self._send_later({"serverContent": {"inputTranscription": transcription}}, due_ns)
            due_ns += int(self._rng.uniform(0, 25) * _MS)

    def _send_later(self, frame: dict[str, Any], due_ns: int) -> None:
        self._timers.at(due_ns, lambda at_ns: self._out.send(frame, at_ns))

    def _signal_activity(self, name: str, signal: str, event: Event, now_ns: int) -> None:
        """Vertex AI says when it hears speech, if asked; the Developer API announces nothing."""
        if self._setup.explicit_vad:
            offset = {"type": name, "audioOffset": f"{event.position / VAD_RATE:.1f}s"}
            self._out.send({"voiceActivity": offset}, now_ns)
            self._out.send({"voiceActivityDetectionSignal": {"vadSignalType": signal}}, now_ns)

    # ---- the model's turn

    def _ask(
        self, words: str, asked_ns: int, delay: Delay, now_ns: int | None = None, *, spoken: bool = False
    ) -> None:
        now_ns = asked_ns if now_ns is None else now_ns
        if spoken:
            self._memory.unanswered = words
        if self._afflictions.use("no_reply"):
            self._out.note(now_ns, "no_reply", text=words)
            return
        if self._tools.blocked:
            self._out.note(now_ns, "unanswered", text=words)  # mute until the function answers
            return
        wanted = None if spoken else quoted_greeting(words)
        note = None if spoken else take_up(words, self._brain, self._memory)
        reply = self._brain.say(wanted, self._memory) if wanted else note
        self._answer(_Prompt(words, asked_ns, delay, reply), now_ns)

    def _answer(self, prompt: _Prompt, now_ns: int) -> None:
        if self._speaker.active:
            self._queue.append(prompt)
            return
        reply = prompt.reply or self._brain.answer(prompt.words, self._memory)
        delay = reply.think if reply.think is not None else prompt.delay
        due_ns = max(now_ns, prompt.asked_ns + draw_ns(delay, self._rng))
        if self._afflictions.use("empty_turn_complete"):
            self._timers.at(due_ns, lambda at_ns: self._speaker.complete_turn(at_ns, 0.0, {}))
            return
        self._on_resumable(False, now_ns)
        self._memory.saying = reply.text
        tool = reply.tool
        if tool is None:
            self._speaker.start(reply, due_ns, now_ns)
            return
        blocking = self._setup.blocking.get(tool.function, False)
        if blocking:
            self._timers.at(due_ns, lambda at_ns: self._tools.call(tool, at_ns, blocking=True))
        else:
            self._timers.at(due_ns, lambda at_ns: self._tools.call(tool, at_ns, blocking=False))
            self._speaker.start(Reply(tool.filler, voice=reply.voice), due_ns, now_ns)

    def _on_answered(self, now_ns: int) -> None:
        """turnComplete was sent."""
        self._memory.unanswered = ""
        if self._queue:
            self._answer(self._queue.popleft(), now_ns)
        elif not self._tools.pending:
            self._on_resumable(True, now_ns)

    def _interrupt(self, now_ns: int) -> None:
        """The caller spoke over the model."""
        if self._tools.blocked:
            self._tools.interrupt(now_ns)
        if self._speaker.interruptible and not self._speaker.sounding:
            self._carried = self._memory.unanswered
        self._queue.clear()
        self._speaker.interrupt(now_ns)

    def _cut(self, now_ns: int) -> None:
        """The client interrupts by what it sends."""
        self._queue.clear()
        self._speaker.interrupt(now_ns)
