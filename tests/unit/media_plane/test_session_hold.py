"""A session whose agent is held when somebody speaks over it: what the telephone plays, what is told."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from media_plane.activity_gate import ActivityGate, Detector, GateCounts
from media_plane.call.activity import Detection
from media_plane.call.hold import HoldCounts, HoldKnobs
from media_plane.dsp.g711 import compress
from media_plane.wire.events import Interrupted, Speaker, TranscriptSegment, TurnCompleted
from tests.support.scene import MS, SID, RecordedLeg, Scene, sessions_left_by, untie

LOUD = compress((6000 * np.sin(np.arange(160) * 0.3)).astype(np.int16)).tobytes()
TEXTS = (" We are open", " from nine", " until six.", " Every day.")


class Telephone(RecordedLeg):
    """Plays what it gets, in order and in real time; `marks` come back when they have been reached."""

    def __init__(self, scene: Call) -> None:
        super().__init__()
        self.heard = b""  # and what waits to be
        self.clears: list[int] = []  # ms
        self.cleared: list[str] = []  # marks that `clear` sent back
        self._scene = scene
        self._end_ns = 0
        self._marks: list[tuple[int, str]] = []

    def send(self, kind: object, buffer: bytearray, offset: int) -> None:
        super().send(kind, buffer, offset)
        self._take(self.sent[-1])

    def send_text(self, message: bytes) -> None:
        super().send_text(message)
        self._take(self.sent[-1])

    @property
    def left(self) -> int:
        """Samples."""
        return max(self._end_ns - self._scene.now, 0) // 125_000

    def due(self) -> list[str]:
        """Marks that have been reached."""
        due = [name for at_ns, name in self._marks if at_ns <= self._scene.now]
        self._marks = [mark for mark in self._marks if mark[1] not in due]
        return due

    def _take(self, message: dict[str, Any]) -> None:
        now_ns = self._scene.now
        self._end_ns = max(self._end_ns, now_ns)
        if message["event"] == "media":
            ulaw = base64.b64decode(message["media"]["payload"])
            self.heard += ulaw
            self._end_ns += len(ulaw) * 125_000
        elif message["event"] == "mark":
            self._marks.append((self._end_ns, message["mark"]["name"]))
        else:
            self.clears.append(self._scene.at_ms)
            self.heard = self.heard[: len(self.heard) - self.left]
            self._end_ns = now_ns
            self.cleared += [name for _, name in self._marks]
            self._marks = []


class Call(Scene):
    """The agent answers with 4 s, each second another sound; the caller has been silent."""

    def __init__(
        self,
        after_ms: int | None = 60,
        *,
        returns_marks: bool = True,
        gate: ActivityGate | None = None,
        **config: Any,
    ) -> None:
        hold = HoldKnobs(after_ms * MS) if after_ms is not None else None
        super().__init__(started=False, ready=False, hold=hold, **config)
        self.session.gate = gate
        self.ready()
        self.caller = self.telephone = Telephone(self)
        self._returns_marks = returns_marks
        self.start()
        self.line(400)
        for number, text in enumerate(TEXTS):
            self.speak(1000, 1000 * (number + 1), outputTranscription={"text": text})

    def line(self, ms: int, ulaw: bytes = b"\xff" * 160) -> None:
        """The caller's line for so long."""
        for _ in range(ms // 20):
            self.at_ms += 20
            self.media(ulaw)
            if self._returns_marks:
                for name in self.telephone.due():
                    self.mark(name)
            if self.at_ms % 100 == 0:
                self.session.tick(self.now)

    def mark(self, name: str) -> None:
        self.twilio(event="mark", streamSid=SID, mark={"name": name})

    def talk(self, ms: int) -> None:
        self.line(ms, LOUD)

    def complete(self) -> None:
        self.content(generationComplete=True)
        self.content(turnComplete=True)

    @property
    def holds(self) -> HoldCounts:
        assert self.session.hold is not None
        return self.session.hold.counts

    def agent(self) -> list[tuple[str, str, bool]]:
        return [
            (segment.text, segment.unheard_text, segment.interrupted)
            for segment in self.of(TranscriptSegment)
            if segment.speaker is Speaker.AGENT
        ]


def whole_answer() -> bytes:
    """What a caller hears who says nothing."""
    call = Call(None)
    call.line(5000)
    return call.telephone.heard


def test_it_falls_silent_within_a_few_frames_and_long_before_the_model_says_so() -> None:
    call = Call()
    call.line(1000)
    began_ms = call.at_ms
    call.talk(200)
    assert call.telephone.clears == [began_ms + 60]
    assert call.holds.held == 1


def test_without_the_setting_it_is_the_model_that_decides() -> None:
    call = Call(None)
    call.line(1000)
    call.talk(600)
    assert not call.telephone.clears
    call.content(interrupted=True)
    assert call.telephone.clears == [call.at_ms]


@pytest.mark.parametrize("returns_marks", [True, False])
@pytest.mark.parametrize("at_ms", [40, 500, 1730, 2990])
def test_after_a_cough_every_sample_is_played_once_and_every_word_told_once(
    at_ms: int, returns_marks: bool
) -> None:
    call = Call(returns_marks=returns_marks)
    call.line(at_ms)
    call.talk(140)
    assert len(call.telephone.clears) == 1
    call.complete()
    call.line(6000)
    assert call.telephone.heard == whole_answer()
    assert call.agent() == [("We are open from nine until six. Every day.", "", False)]
    assert call.holds == HoldCounts(held=1, in_vain=1, held_ns=call.holds.held_ns)
    assert 800 * MS <= call.holds.held_ns <= 840 * MS
    assert not call.of(Interrupted)


def test_what_the_model_says_while_it_is_held_follows_what_was_held() -> None:
    call = Call()
    call.line(1000)
    call.talk(140)
    call.speak(1000, 5000, outputTranscription={"text": " Except Sunday."})
    assert call.telephone.left == 0
    call.complete()
    call.line(7000)
    heard = call.telephone.heard
    assert heard.startswith(whole_answer()[:-160])
    assert len(heard) == 5 * 8000
    assert call.agent() == [("We are open from nine until six. Every day. Except Sunday.", "", False)]


def test_what_the_model_confirms_is_cut_where_the_caller_stopped_hearing() -> None:
    call = Call()
    call.line(2480)
    began = len(call.telephone.heard) - call.telephone.left
    call.talk(600)
    call.content(interrupted=True)
    heard = len(call.telephone.heard)
    assert heard == began + 60 * 8
    (cut,) = call.of(Interrupted)
    assert cut.discarded_ms == 4000 - heard // 8
    call.content(turnComplete=True)
    call.line(600)
    ((text, unheard, interrupted),) = call.agent()
    assert (text, interrupted) == ("We are open", True)
    assert unheard == "from nine until six. Every day."
    assert call.holds.confirmed == 1


def test_the_next_answer_is_played_at_once_after_a_confirmed_hold() -> None:
    call = Call()
    call.line(1000)
    call.talk(600)
    call.content(interrupted=True)
    call.content(turnComplete=True)
    call.line(1000)
    before = len(call.telephone.heard)
    call.speak(1000, 7000, outputTranscription={"text": " Sorry."})
    assert call.telephone.left == 8000
    assert len(call.telephone.heard) == before + 8000
    call.complete()
    call.line(2000)
    assert call.agent()[-1] == ("Sorry.", "", False)


def test_marks_that_clear_sent_back_say_nothing_of_what_is_sent_again() -> None:
    call = Call()
    call.line(1000)
    call.talk(140)
    call.line(1000)  # it has gone on
    for name in call.telephone.cleared:
        call.mark(name)
    names = [m["mark"]["name"] for m in call.telephone.sent if m["event"] == "mark"]
    assert len(names) == len(set(names))
    call.complete()
    call.line(5000)
    assert call.telephone.heard == whole_answer()


def test_it_may_be_held_twice_in_an_answer() -> None:
    call = Call()
    for _ in range(2):
        call.line(600)
        call.talk(140)
        call.line(1400)
    call.complete()
    call.line(4000)
    assert call.telephone.heard == whole_answer()
    assert call.holds.in_vain == 2


def test_a_turn_is_not_over_while_it_is_held() -> None:
    call = Call()
    call.line(3500)
    call.complete()
    call.talk(140)
    call.line(600)
    assert not call.of(TurnCompleted)  # without the hold it would be, by now
    call.line(2000)
    (turn,) = call.of(TurnCompleted)
    assert (turn.audio_ms, turn.interrupted) == (4000, False)
    (segment,) = [s for s in call.of(TranscriptSegment) if s.speaker is Speaker.AGENT]
    held_ms = call.holds.held_ns // MS
    assert abs(segment.end_ms - segment.start_ms - 4000 - held_ms) <= 20


def test_the_next_turn_may_begin_while_it_is_held() -> None:
    call = Call()
    call.line(3000)
    call.complete()
    call.talk(140)
    call.speak(1000, 7000, outputTranscription={"text": " Anything else?"})
    call.complete()
    call.line(5000)
    assert len(call.telephone.heard) == 5 * 8000
    assert [text for text, _, _ in call.agent()] == [
        "We are open from nine until six. Every day.",
        "Anything else?",
    ]


def test_who_hangs_up_while_it_is_held_has_heard_no_more_than_was_played() -> None:
    call = Call()
    call.line(2480)
    call.talk(300)
    call.twilio(event="stop", streamSid=SID, stop={"callSid": "CA1"})
    ((text, unheard, _),) = call.agent()
    assert text == "We are open"
    assert unheard == "from nine until six. Every day."


def test_a_farewell_that_is_held_is_not_over() -> None:
    call = Call()
    call.line(3000)
    call.complete()
    call.session.desk.farewell.ask(call.now, said=True)
    call.talk(140)
    call.line(600)
    assert call.session.end_reason is None


def test_the_greeting_may_be_held_too() -> None:
    call = Call(greeting="Good morning")
    call.line(1000)
    call.talk(140)
    call.complete()
    call.line(6000)
    assert call.telephone.heard == whole_answer()


def test_an_agent_that_does_not_ask_for_it_keeps_nothing() -> None:
    call = Call(None)
    call.line(100)
    assert call.session._agent.kept is None


def test_a_call_that_was_held_or_gated_is_freed_without_the_garbage_collector() -> None:
    def live() -> None:
        woken: list[ActivityGate] = []
        detectors: list[Detector] = []
        gate = ActivityGate(
            Detection(),
            Never(),
            rate=16_000,
            all_input=False,
            counts=GateCounts(),
            wake=woken.append,
            release=detectors.append,
        )
        call = Call(gate=gate)
        call.line(600)
        call.talk(140)
        assert woken == [gate]
        call.twilio(event="stop", streamSid=SID, stop={"callSid": "CA1"})
        assert call.holds.held == 1
        assert len(detectors) == 1
        untie(call.session)
        call.telephone._scene = None  # type: ignore[assignment]
        call.ended.clear()

    assert sessions_left_by(live) == 0


class Never:
    """A detector that hears nothing."""

    def probability(self, pcm16k: NDArray[np.int16]) -> float:
        return 0.0

    def reset(self) -> None:
        pass
