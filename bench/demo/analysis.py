"""What the call was like, computed from outside: the callee's ears and the model's own log.

Three clocks never mix here: every `*_ns` is CLOCK_MONOTONIC, shared by all processes of one machine;
every `*_ms` is milliseconds since the callee answered.
"""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Entry = dict[str, Any]

AUDIBLE_RMS = 100.0  # of int16 full scale 32768 (-50 dBFS): speech is far above, line noise below


@dataclass
class Response:
    """The agent became audible after the callee had spoken, and where the wait went. None: not known."""

    callee_stopped_ms: float
    heard_ms: float
    response_ms: float
    turn_detection_ms: float | None = None  # callee stopped -> the model decided that the turn was over
    model_ms: float | None = None  # -> the model sent its first audio
    delivery_ms: float | None = None  # -> audible: media plane, Twilio's playout, leading silence


@dataclass
class BargeIn:
    """The callee spoke over the agent."""

    began_ms: float
    silenced_ms: float  # the agent was no longer audible
    reaction_ms: float
    model_ms: float | None = None  # callee began -> the model said `interrupted`
    clear_ms: float | None = None  # -> Twilio had the `clear`


@dataclass
class CallReport:
    """Everything the summary prints and the JSON holds for one call."""

    workflow_id: str
    call_sid: str
    duration_s: float
    first_word_heard_ms: float | None
    responses: list[Response] = field(default_factory=list)
    barge_ins: list[BargeIn] = field(default_factory=list)
    callee_audible_s: float = 0.0
    agent_audible_s: float = 0.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def intervals(timeline: Sequence[Entry], start: str, stop: str) -> list[tuple[Entry, Entry]]:
    """Pairs of (start, stop) entries; an interval still open at the end closes with the last entry."""
    pairs: list[tuple[Entry, Entry]] = []
    opened: Entry | None = None
    for entry in timeline:
        if entry["kind"] == start and opened is None:
            opened = entry
        elif entry["kind"] == stop and opened is not None:
            pairs.append((opened, entry))
            opened = None
    if opened is not None:
        pairs.append((opened, timeline[-1]))
    return pairs


def turns(spoken: Sequence[tuple[Entry, Entry]], gap_ms: float = 400.0) -> Iterator[tuple[Entry, Entry]]:
    """Audible intervals joined over pauses shorter than `gap_ms`: breaths are no turns."""
    current: tuple[Entry, Entry] | None = None
    for first, last in spoken:
        if current is not None and first["ms"] - current[1]["ms"] < gap_ms:
            current = (current[0], last)
            continue
        if current is not None:
            yield current
        current = (first, last)
    if current is not None:
        yield current


def _between(log: Sequence[Entry], kind: str, after_ns: int, before_ns: int) -> int | None:
    """When the model last logged `kind` in that span."""
    times = [e["t_ns"] for e in log if e["kind"] == kind and after_ns <= e["t_ns"] <= before_ns]
    return max(times) if times else None


def _span_ms(start_ns: int | None, stop_ns: int | None) -> float | None:
    return None if start_ns is None or stop_ns is None else (stop_ns - start_ns) / 1e6


def analyse(
    workflow_id: str, call_sid: str, timeline: Sequence[Entry], log: Sequence[Entry], audio: bytes
) -> CallReport:
    """One call's report from Twilio's timeline, the model's log (may be empty) and the recording."""
    said = list(turns(intervals(timeline, "callee_speaks", "callee_stops")))
    heard = list(turns(intervals(timeline, "heard_start", "heard_stop")))
    samples, rate = read_wav(audio)
    report = CallReport(
        workflow_id,
        call_sid,
        duration_s=len(samples) / rate,
        first_word_heard_ms=heard[0][0]["ms"] if heard else None,
        callee_audible_s=audible_seconds(samples[:, 0], rate),
        agent_audible_s=audible_seconds(samples[:, 1], rate),
    )
    for begins, stops in said:
        over = next((h for h in heard if h[0]["ms"] < begins["ms"] < h[1]["ms"]), None)
        if over is not None:
            report.barge_ins.append(_barge_in(begins, over[1], timeline, log))
        answer = next((h for h in heard if h[0]["ms"] >= stops["ms"]), None)
        next_said = next((s for s in said if s[0]["ms"] > begins["ms"]), None)
        if answer is not None and (next_said is None or answer[0]["ms"] < next_said[0]["ms"]):
            report.responses.append(_response(stops, answer[0], log))
    return report


def _response(stopped: Entry, heard: Entry, log: Sequence[Entry]) -> Response:
    endpoint = _between(log, "endpoint", stopped["t_ns"], heard["t_ns"])
    first_audio = _between(log, "first_audio", stopped["t_ns"], heard["t_ns"])
    return Response(
        stopped["ms"],
        heard["ms"],
        heard["ms"] - stopped["ms"],
        _span_ms(stopped["t_ns"], endpoint),
        _span_ms(endpoint, first_audio),
        _span_ms(first_audio, heard["t_ns"]),
    )


def _barge_in(began: Entry, silenced: Entry, timeline: Sequence[Entry], log: Sequence[Entry]) -> BargeIn:
    horizon = silenced["t_ns"] + 1_000_000_000
    interrupted = _between(log, "interrupted", began["t_ns"], horizon)
    clear = _between(timeline, "clear", began["t_ns"], horizon)
    return BargeIn(
        began["ms"],
        silenced["ms"],
        silenced["ms"] - began["ms"],
        _span_ms(began["t_ns"], interrupted),
        _span_ms(interrupted, clear),
    )


def read_wav(data: bytes) -> tuple[npt.NDArray[np.int16], int]:
    """(samples, 2) int16 and the rate in Hz. Raises ValueError for anything but two-channel 16-bit."""
    with wave.open(io.BytesIO(data)) as source:
        if (source.getnchannels(), source.getsampwidth()) != (2, 2):
            raise ValueError(
                f"recording of {source.getnchannels()} channels of {source.getsampwidth()} bytes, not 2 × 2"
            )
        samples = np.frombuffer(source.readframes(source.getnframes()), np.int16)
        return samples.reshape(-1, 2), source.getframerate()


def audible_seconds(channel: npt.NDArray[np.int16], rate: int) -> float:
    """Seconds of `channel` (int16 mono) whose 20 ms frames are louder than -50 dBFS."""
    frame = rate // 50
    whole = channel[: len(channel) // frame * frame].reshape(-1, frame).astype(np.float64)
    return float((np.sqrt((whole**2).mean(axis=1)) > AUDIBLE_RMS).sum()) * 0.02


def log_of_call(logs: Sequence[Sequence[Entry]], timeline: Sequence[Entry]) -> Sequence[Entry]:
    """The model session that spoke in this call: the one whose first audio best precedes what was heard.

    The wire carries no call id to the model, so sessions are told apart by their times.
    """
    heard = [e["t_ns"] for e in timeline if e["kind"] == "heard_start"]

    def matches(log: Sequence[Entry]) -> int:
        spoke = [e["t_ns"] for e in log if e["kind"] == "first_audio"]
        return sum(any(0 <= h - s < 1_000_000_000 for s in spoke) for h in heard)

    return max(logs, key=matches, default=[])
