"""`python -m bench.gemini.barge_in`: is what the transcript calls heard what the caller heard?

Random barge-ins in virtual time (bench.gemini.barge_in_world), over calls with different networks and voices;
a few answers between them are heard to their end, and every call ends in the middle of one. Compared are the
audio that the session says was cut off with what the telephone dropped, and every stored `text` with the
words whose samples were played.

Bars: the first is never off by more than 20 ms, and no word that was not played is in any `text`. Exit status
1 when missed.

Then the same for agents that are held as soon as the caller is heard over them (bench.gemini.early_hold), and
how much sooner they fall silent.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from bench import machine
from bench.gemini import early_hold
from bench.gemini.barge_in_world import RATE, Call, Word, audio, speech
from media_plane.wire.events import Interrupted, Speaker, TranscriptSegment

LEDGER_MS = 20.0
AT_A_CALL = 10  # barge-ins
_LATE_MS = {"behind": (0, 400), "far behind": (500, 2000)}  # transcript deltas
_FAST = 3.3  # times real time: the model's audio comes before it is played


@dataclass
class Answer:
    """What the model said in one turn, and how much of it was played (seconds)."""

    words: list[Word]
    first: int  # of its samples, of all that were sent
    played: float = float("inf")


@dataclass
class Found:
    """Over all calls."""

    barge_ins: int = 0
    answers: int = 0
    ledger_ms: list[float] = field(default_factory=list)
    words_heard: int = 0  # wholly played, of answers that were cut off
    words_kept: int = 0  # of those, in `text`
    words_unheard: int = 0  # in `text`, though not played
    late_by_ms: float = 0.0  # the worst of them
    halves: int = 0  # no words, but pieces of one
    told: int = 0  # notes to the model


def one_call(seed: int, barge_ins: int) -> tuple[Call, list[Answer]]:
    call = Call(seed)
    pace = call.rng.uniform(11, 19)  # letters a second
    number = count()
    answers: list[Answer] = []
    done = 0
    call.wait(call.rng.uniform(0, 1500))
    while done < barge_ins:
        cut = call.rng.random() < 0.8
        answers.append(_answer(call, *speech(call.rng, pace, number), "interrupt" if cut else ""))
        done += cut
        call.wait(call.rng.uniform(900, 2500))
        call.wait_for_text()
    answers.append(_answer(call, *speech(call.rng, pace, number), "hang up"))
    return call, answers


def _answer(call: Call, words: list[Word], length: float, end: str) -> Answer:
    """The model answers; the caller hears it out, or interrupts, or hangs up."""
    rng = call.rng
    answer = Answer(words, call.telephone.sent)
    deltas = _deltas(rng, words)
    style = rng.choice(("with", "with", "ahead", "behind", "far behind"))
    begun_ns = call.world.now_ns
    cut_ns = begun_ns + int(rng.uniform(0.1, length + 0.2) * 1e9) if end else 1 << 62
    at = 0.0
    while at < length and call.world.now_ns < cut_ns:
        chunk = min(rng.uniform(0.04, 0.26), length - at)
        at += chunk
        _chunk(call, chunk, _due(deltas, at + (0.35 if style == "ahead" else 0.0)), style)
        call.world.run(min(begun_ns + int(at / _FAST * 1e9), cut_ns))
    if at >= length:
        call.says(generationComplete=True)
    if not end:
        call.world.run(begun_ns + int((length - 0.1) * 1e9))
        call.says(turnComplete=True)
        call.wait(600)
        return answer
    call.world.run(cut_ns)
    telephone = call.telephone
    if end == "hang up":
        answer.played = (telephone.arrived - answer.first - telephone.left) / RATE
        call.hangs_up()
        call.wait(200)
        return answer
    drops = len(telephone.dropped)
    call.says(interrupted=True)
    call.wait(rng.uniform(5, 40))
    call.says(turnComplete=True)
    call.wait(300)
    answer.played = (telephone.sent - answer.first - telephone.dropped[drops]) / RATE
    return answer


def _chunk(call: Call, seconds: float, texts: list[str], style: str) -> None:
    if texts and style in ("with", "ahead") and call.rng.random() < 0.5:
        call.says(**audio(seconds), outputTranscription={"text": "".join(texts)})
        return
    call.says(**audio(seconds))
    for text in texts:
        call.transcribes(text, call.rng.uniform(*_LATE_MS.get(style, (0, 0))))


def _due(deltas: list[tuple[float, str]], at: float) -> list[str]:
    """Take the deltas whose words have begun at `at`."""
    found = []
    while deltas and deltas[0][0] < at:
        found.append(deltas.pop(0)[1])
    return found


def _deltas(rng: random.Random, words: list[Word]) -> list[tuple[float, str]]:
    """Transcript deltas of one to four words, or half a word, with the time at which they begin."""
    found: list[tuple[float, str]] = []
    index = 0
    while index < len(words):
        group = words[index : index + rng.choice((1, 1, 2, 2, 3, 4))]
        text = " " + " ".join(word.text for word in group)
        if len(group) == 1 and len(text) > 6 and rng.random() < 0.2:
            found += [(group[0].begins, text[:4]), (group[0].begins, text[4:])]
        else:
            found.append((group[0].begins, text))
        index += len(group)
    return found


def judge(call: Call, answers: list[Answer], found: Found) -> None:
    """Compare what the session told with what the telephone played."""
    bodies = [event.body for event in call.events]
    cuts = [body for body in bodies if isinstance(body, Interrupted)]
    found.barge_ins += len(cuts)
    found.answers += len(answers)
    found.told += sum("clientContent" in message for message in call.model.told)
    for cut, dropped in zip(cuts, call.telephone.dropped, strict=True):
        found.ledger_ms.append(abs(cut.discarded_ms - dropped * 1000 / RATE))
    said = {word.text: (word, answer) for answer in answers for word in answer.words}
    kept: set[str] = set()
    for body in bodies:
        if isinstance(body, TranscriptSegment) and body.speaker is Speaker.AGENT:
            kept |= set(body.text.split())
    found.halves += len(kept - said.keys())
    for text, (word, answer) in said.items():
        late_ms = (word.ends - answer.played) * 1000
        if text in kept and late_ms > LEDGER_MS:
            found.words_unheard += 1
            found.late_by_ms = max(found.late_by_ms, late_ms)
        if late_ms <= 0 and answer.played != float("inf"):
            found.words_heard += 1
            found.words_kept += text in kept


def measure(barge_ins: int, seed: int) -> Found:
    found = Found()
    while found.barge_ins < barge_ins:
        judge(*one_call(seed, min(AT_A_CALL, barge_ins - found.barge_ins)), found)
        seed += 1
    return found


def summary(found: Found) -> dict[str, Any]:
    """The figures and whether the bars were met."""
    ledger = sorted(found.ledger_ms)
    return {
        "barge_ins": found.barge_ins,
        "answers": found.answers,
        "ledger_error_ms": {
            "p50": ledger[len(ledger) // 2],
            "p99": ledger[int(len(ledger) * 0.99)],
            "max": ledger[-1],
        },
        "unheard_words_in_text": found.words_unheard + found.halves,
        "worst_unheard_ms": found.late_by_ms,
        "heard_words_kept": found.words_kept / max(found.words_heard, 1),
        "notes_to_the_model": found.told,
        "met": ledger[-1] <= LEDGER_MS and not found.words_unheard and not found.halves,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gemini.barge_in", description=__doc__)
    parser.add_argument("--barge-ins", type=int, default=1000)
    parser.add_argument("--calls", type=int, default=40, help="with agents that are held early")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the figures as JSON")
    options = parser.parse_args()
    about = machine.about("python -m bench.gemini.barge_in")
    result = summary(measure(options.barge_ins, options.seed))
    error = result["ledger_error_ms"]
    print(f"{result['barge_ins']} barge-ins, {result['answers']} answers")
    print(
        f"ledger error: p50 {error['p50']:.1f} ms, p99 {error['p99']:.1f} ms, max {error['max']:.1f} ms "
        f"(at most {LEDGER_MS:.0f})"
    )
    print(f"words in `text` that were not played: {result['unheard_words_in_text']} (none)")
    print(f"played words of answers cut off that are in `text`: {result['heard_words_kept']:.0%}")
    held = early_hold.compare(options.calls, options.seed)
    clear, holds = held["clear_ms"], held["holds"]
    print(
        f"\nheld early: {held['interruptions']} interruptions, {held['coughs']} coughs; "
        f"{holds['held']} holds of {holds['mean_ms']:.0f} ms, {holds['in_vain']} in vain"
    )
    print(
        f"from the caller's first loud frame to `clear`, median: {clear['with']:.0f} ms; left to the model "
        f"{clear['without']:.0f} ms: {held['sooner']:.1f} times as long"
    )
    print(
        f"ledger error: max {held['ledger_error_max_ms']:.1f} ms; "
        f"words unheard in `text`, told twice or lost: {held['words_wrong']} (none)"
    )
    met = result["met"] and held["met"]
    print("ok" if met else "MISSED")
    if options.out is not None:
        options.out.write_text(json.dumps({"about": about, **result, "early_hold": held}, indent=1) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
