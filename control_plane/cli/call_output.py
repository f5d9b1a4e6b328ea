"""How `voiceplane calls` shows calls: as JSON, in tables, and as they go."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from control_plane.cli.remote import plain
from control_plane.client import (
    Call,
    CallResult,
    CallStatus,
    Delta,
    Ended,
    Event,
    Item,
    Segment,
    StatusReached,
    TranscriptLine,
    TurnDone,
)

_NAMES = {StatusReached: "status", Delta: "delta", Segment: "segment", TurnDone: "turn", Ended: "ended"}


def jsonable(value: Any) -> dict[str, Any]:
    """A dataclass of the client, with times as ISO 8601."""
    return {
        name: each.isoformat() if isinstance(each, datetime) else each for name, each in asdict(value).items()
    }


def item_json(item: Item) -> dict[str, Any]:
    """One line of a watch: `type` is status, delta, segment, turn, ended, or the event's own name."""
    return {"type": item.kind if isinstance(item, Event) else _NAMES[type(item)], **jsonable(item)}


def print_calls(calls: list[Call]) -> None:
    table = Table("call", "status", "number", "created", "lasted", "end", box=None, pad_edge=False)
    for call in calls:
        table.add_row(
            call.workflow_id,
            call.status,
            plain(call.phone_number),
            f"{call.created_at.astimezone():%Y-%m-%d %H:%M:%S}" if call.created_at is not None else "",
            f"{call.duration_seconds:.1f} s" if call.answered_at is not None else "",
            plain(call.end_reason),
        )
    Console(soft_wrap=True, markup=False).print(table)


def print_call(call: Call, result: CallResult | None) -> None:
    """`result`: None while the call is not over."""
    console = Console(soft_wrap=True, markup=False, highlight=False)
    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_row("call", call.workflow_id)
    facts.add_row("number", plain(call.phone_number))
    facts.add_row("status", call.status)
    if result is None:
        facts.add_row("transcript", f"{call.transcript_count} lines so far")
        console.print(facts)
        return
    facts.add_row("end", plain(result.end_reason))
    facts.add_row("lasted", f"{result.duration_seconds:.1f} s")
    answers = [turn.response_ms for turn in result.turns if turn.response_ms >= 0]
    if answers:
        middle = sorted(answers)[len(answers) // 2]
        facts.add_row("answered after", f"{middle} ms (median of {len(answers)} turns)")
    console.print(facts)
    console.print()
    for line in result.transcript:
        console.print(f"{line.start_ms / 1000:7.1f} s  {_said(line)}")


class WatchPrinter:
    """Prints a call as it goes: deltas on the line of who speaks, whole lines where no delta came before."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open: int | None = None  # the segment whose line is being written
        self._shown: set[int] = set()

    def show(self, item: Item) -> None:
        match item:
            case Delta():
                if self._open != item.segment_id:
                    self._end_line()
                    self._write(f"{item.speaker:>6}: ")
                self._open = item.segment_id
                self._shown.add(item.segment_id)
                self._write(plain(item.text))
            case Segment():
                self._end_segment(item)
            case StatusReached():
                self._line(f"-- {item.status}")
            case TurnDone():
                turn = item.turn
                after = f"answered after {turn.response_ms} ms" if turn.response_ms >= 0 else "spoke first"
                cut = ", interrupted" if turn.interrupted else ""
                self._line(f"        turn {turn.turn}: {after}, {turn.audio_ms / 1000:.1f} s{cut}")
            case Ended():
                why = plain(item.error or item.end_reason)
                lasted = f", {item.duration_seconds:.1f} s" if item.status is CallStatus.COMPLETED else ""
                self._line(f"-- {item.status}: {why}{lasted}")
            case _:  # events of the line, for programs: --json has them
                pass

    def _end_segment(self, item: Segment) -> None:
        shown = item.segment_id in self._shown
        self._shown.discard(item.segment_id)
        if not shown:
            self._line(f"{item.line.speaker:>6}: {_text(item.line)}")
            return
        if item.line.interrupted:
            self._line(f"        interrupted; heard was: {plain(item.line.text)}")
        elif self._open == item.segment_id:
            self._end_line()

    def _line(self, text: str) -> None:
        self._end_line()
        self._write(f"{text}\n")

    def _end_line(self) -> None:
        if self._open is not None:
            self._write("\n")
            self._open = None

    def _write(self, text: str) -> None:
        self._console.print(text, end="", soft_wrap=True, markup=False, highlight=False)
        self._console.file.flush()


def _said(line: TranscriptLine) -> str:
    return f"{line.speaker:>6}: {_text(line)}"


def _text(line: TranscriptLine) -> str:
    cut = " [interrupted]" if line.interrupted else ""
    return f"{plain(line.text)}{cut}"
