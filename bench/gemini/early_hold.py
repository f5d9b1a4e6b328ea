"""Agents that are held as soon as the caller is heard over them: how soon, and whether a word is lost by it.

The calls of bench.gemini.barge_in_world, with a caller who can be heard: he interrupts, which the model
confirms after the time that it takes in the field, or coughs, which it does not. The model's audio is a
staircase, so that what the telephone played tells sample by sample which part of the answer it was; what was
heard twice, or never, shows as a step that is too long or too short.
"""

from __future__ import annotations

import json
import random
from base64 import b64encode
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.gemini.barge_in_world import MS, RATE, SID, Call, Word, speech
from media_plane.call.hold import HoldCounts, HoldKnobs
from media_plane.dsp.g711 import compress, expand
from media_plane.wire.events import Interrupted, Speaker, TranscriptSegment

KNOBS = HoldKnobs(after_ns=60 * MS)
LEDGER_MS = 20.0
AT_A_CALL = 8  # answers
_FAST = 3.3  # times real time
_STEP = 80  # samples of 8 kHz: 10 ms
_LEVELS = np.linspace(-12_000, 12_000, 32)
_HALF = len(_LEVELS) // 2
_APART = 3  # steps over which what was heard is compared
_LOUD = b64encode(compress((6000 * np.sin(np.arange(160) * 0.3)).astype(np.int16)).tobytes()).decode()
_QUIET = b64encode(b"\xff" * 160).decode()


class Mouth:
    """The caller's: a frame every 20 ms."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._until_ns = 0
        self._number = 0
        self._frame()

    def speaks(self, ms: float) -> None:
        self._until_ns = self._call.world.now_ns + int(ms * MS)

    def _frame(self) -> None:
        if self._call.session.end_reason is not None:
            return
        now_ns = self._call.world.now_ns
        self._number += 1
        number = str(self._number)
        media = {"track": "inbound", "chunk": number, "timestamp": str(20 * self._number)}
        media["payload"] = _LOUD if now_ns < self._until_ns else _QUIET
        message = {"event": "media", "sequenceNumber": number, "streamSid": SID, "media": media}
        self._call.from_caller(json.dumps(message, separators=(",", ":")).encode())
        self._call.world.at(now_ns + 20 * MS, self._frame)


@dataclass
class Answer:
    """What the model said, and how much of it the telephone played (seconds)."""

    words: list[Word]
    onset_ns: int = 0  # of the caller's voice over it; 0: nobody spoke
    interrupts: bool = False
    generated: int = 0  # samples at 8 kHz that the model had sent
    heard: int = 0  # of those, played
    cut: Interrupted | None = None  # as the session told it


@dataclass
class Found:
    """Over all calls."""

    counts: HoldCounts = field(default_factory=HoldCounts)
    interruptions: int = 0
    coughs: int = 0
    clear_ms: list[float] = field(default_factory=list)  # from the first loud frame to `clear` on the wire
    ledger_ms: list[float] = field(default_factory=list)
    words_unheard: int = 0  # in `text`, though not played
    words_twice: int = 0
    words_lost: int = 0  # played whole in an answer that nobody cut off, and not in `text`


def one_call(seed: int, answers: int, *, hold: bool, counts: HoldCounts) -> tuple[Call, list[Answer]]:
    call = Call(seed, hold=KNOBS if hold else None, holds=counts)
    mouth = Mouth(call)
    pace = call.rng.uniform(11, 19)
    number = count()
    call.wait(1500)
    done = []
    for _ in range(answers):
        done.append(_answer(call, mouth, *speech(call.rng, pace, number)))
        call.wait(1500)
    call.hangs_up()
    call.wait(200)
    return call, done


def _answer(call: Call, mouth: Mouth, words: list[Word], length: float) -> Answer:
    rng = random.Random(call.rng.random())  # the same with and without holding, whatever else is drawn
    answer = Answer(words)
    length = round(length, 2)
    kind = rng.choice(("interruption", "interruption", "cough", "nothing"))
    onset = rng.uniform(0.2, max(length - 0.6, 0.3))
    confirm = rng.triangular(0.441, 0.84, 0.64) if rng.random() < 0.95 else rng.uniform(0.84, 2.9)
    begun_ns = call.world.now_ns
    before, told = len(call.telephone.audio), len(call.events)

    def at(seconds: float) -> int:
        return begun_ns + int(seconds * 1e9)

    events: list[tuple[float, Any]] = []
    said = 0.0
    for texts, ends in _chunks(rng, words, length):
        events.append((said / _FAST, lambda a=said, b=ends, t=texts: _say(call, answer, a, b, t)))
        said = ends
    events.append((length / _FAST, lambda: call.says(generationComplete=True)))
    events.append((length, lambda: call.says(turnComplete=True)))
    if kind == "interruption":
        events = [event for event in events if event[0] < onset + confirm]
        events.append((onset, lambda: mouth.speaks(rng.uniform(700, 1500))))
    elif kind == "cough":
        events.append((onset, lambda: mouth.speaks(rng.uniform(120, 280))))
    for seconds, happen in sorted(events, key=lambda event: event[0]):
        call.world.run(at(seconds))
        happen()
    if kind == "nothing":
        call.world.run(at(length + 0.3))
    else:
        answer.onset_ns = at(onset)
    if kind == "interruption":
        answer.interrupts = True
        call.world.run(at(onset + confirm))
        call.says(interrupted=True)
        call.wait(rng.uniform(5, 40))
        call.says(turnComplete=True)
        call.wait(1800)  # he finishes
    elif kind == "cough":
        call.world.run(at(length + 2.0))
    answer.heard = len(call.telephone.audio) - before - call.telephone.left
    for event in call.events[told:]:
        if isinstance(event.body, Interrupted):
            answer.cut = event.body
    return answer


def _say(call: Call, answer: Answer, begins: float, ends: float, text: str) -> None:
    """A part of the answer: the staircase from its first to its last sample."""
    first, last = round(begins * RATE), round(ends * RATE)
    answer.generated = last
    steps = np.repeat(_LEVELS[np.arange(first, last) // _STEP % len(_LEVELS)], 3)
    data = b64encode(np.rint(steps).astype("<i2").tobytes()).decode()
    part = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": data}}
    beside = {"outputTranscription": {"text": text}} if text else {}
    call.says(modelTurn={"parts": [part]}, **beside)


def _chunks(rng: random.Random, words: list[Word], length: float) -> list[tuple[str, float]]:
    """Text and end of each part, in seconds of the answer."""
    found = []
    at, index = 0.0, 0
    while at < length:
        at = round(min(at + rng.uniform(0.04, 0.26), length), 2)
        text = ""
        while index < len(words) and words[index].begins < at:
            text += " " + words[index].text
            index += 1
        found.append((text, at))
    return found


def errors_ms(heard: NDArray[np.int16]) -> list[float]:
    """The breaks in the staircase as it was heard: by how much what was heard around each is longer (heard
    twice) or shorter (never) than whole."""
    level = np.abs(heard[:, None] - _LEVELS[None, :]).argmin(axis=1)
    edges = np.flatnonzero(np.diff(level)) + 1
    # The filter's ringing around an edge makes short runs: they belong to the edge.
    runs = [
        (int(level[b]), int(b)) for b, e in zip(edges, [*edges[1:], len(level)], strict=True) if e - b > 12
    ]
    found: list[float] = []
    last = -_APART
    for number, ((one, begins), (other, ends)) in enumerate(zip(runs, runs[_APART:], strict=False)):
        # Levels come again after 320 ms: of what may have been skipped or said again, the least.
        off = (other - one - _APART + _HALF) % len(_LEVELS) - _HALF
        error = ((ends - begins) - (_APART + off) * _STEP) * 1000 / RATE
        if abs(error) < 1:
            continue
        if number < last + _APART:  # the same break, seen from another place
            found[-1] = max(found[-1], error, key=abs)
        else:
            found.append(error)
            last = number
    return found


def judge(call: Call, answers: list[Answer], found: Found) -> None:
    bodies = [event.body for event in call.events]
    kept: list[str] = []
    for body in bodies:
        if isinstance(body, TranscriptSegment) and body.speaker is Speaker.AGENT:
            kept += body.text.split()
    audio = expand(np.frombuffer(bytes(call.telephone.audio), np.uint8))
    at = 0
    for answer in answers:
        heard = audio[at : at + answer.heard]
        at += answer.heard
        breaks = errors_ms(heard)
        found.ledger_ms += [abs(error) for error in breaks]
        if answer.interrupts:
            found.interruptions += 1
            if answer.cut is not None:
                unheard_ms = (answer.generated - answer.heard) * 1000 / RATE
                found.ledger_ms.append(abs(answer.cut.discarded_ms - unheard_ms - sum(breaks)))
        elif answer.onset_ns:
            found.coughs += 1
        if answer.interrupts:
            after = [sent_ns for sent_ns in call.telephone.cleared_ns if sent_ns >= answer.onset_ns]
            if after:
                found.clear_ms.append((after[0] - answer.onset_ns) / MS)
        for word in answer.words:
            late_ms = (word.ends - answer.heard / RATE) * 1000
            times = kept.count(word.text)
            found.words_unheard += times > 0 and late_ms > LEDGER_MS
            found.words_twice += times > 1
            found.words_lost += not answer.interrupts and times == 0


def measure(calls: int, seed: int, *, hold: bool) -> Found:
    found = Found()
    for number in range(calls):
        judge(*one_call(seed + number, AT_A_CALL, hold=hold, counts=found.counts), found)
    return found


def compare(calls: int, seed: int) -> dict[str, Any]:
    """The same calls with and without holding: the figures, and whether the bars were met."""
    without, with_hold = measure(calls, seed, hold=False), measure(calls, seed, hold=True)
    medians = [float(np.median(each.clear_ms)) for each in (without, with_hold)]
    both = (without, with_hold)
    ledger_ms = max(max(each.ledger_ms, default=0.0) for each in both)
    wrong = sum(each.words_unheard + each.words_twice + each.words_lost for each in both)
    return {
        "interruptions": with_hold.interruptions,
        "coughs": with_hold.coughs,
        "clear_ms": {"without": medians[0], "with": medians[1]},
        "sooner": medians[0] / medians[1],
        "holds": {
            "held": with_hold.counts.held,
            "confirmed": with_hold.counts.confirmed,
            "in_vain": with_hold.counts.in_vain,
            "mean_ms": with_hold.counts.held_ns / MS / max(with_hold.counts.held, 1),
        },
        "ledger_error_max_ms": ledger_ms,
        "words_wrong": wrong,
        "met": ledger_ms <= LEDGER_MS and not wrong,
    }
