"""The conversation as the demo prints it."""

from __future__ import annotations

import io

from rich.console import Console

from bench.demo.conversation import ConversationPrinter
from protos.voiceplane.events.v1 import events_pb2 as pb


def delta(segment: int, speaker: pb.Speaker.ValueType, text: str, at_ms: int = 0) -> pb.CallEvent:
    said = pb.TranscriptDelta(segment_id=segment, speaker=speaker, text=text)
    return pb.CallEvent(offset_ms=at_ms, transcript_delta=said)


def said(segment: int, speaker: pb.Speaker.ValueType) -> pb.CallEvent:
    return pb.CallEvent(transcript_segment=pb.TranscriptSegment(segment_id=segment, speaker=speaker))


CONVERSATION = [
    pb.CallEvent(stream_started=pb.StreamStarted(stream_sid="MZ1", call_sid="CA1")),
    delta(1, pb.SPEAKER_AGENT, "Hello!", 100),
    delta(1, pb.SPEAKER_AGENT, " How can I help?", 300),
    said(1, pb.SPEAKER_AGENT),
    delta(2, pb.SPEAKER_CALLER, " A table", 2000),
    delta(2, pb.SPEAKER_CALLER, " for two.", 2100),
    delta(3, pb.SPEAKER_AGENT, " Certainly, at", 4000),
    pb.CallEvent(interrupted=pb.Interrupted(turn=2, discarded_ms=1500)),
    delta(4, pb.SPEAKER_CALLER, "[bold]No[/bold]", 5000),
    pb.CallEvent(stream_ended=pb.StreamEnded(reason=pb.STREAM_END_REASON_STOP)),
]
LINES = [
    "            · answered; audio flows",
    "    0.10 s  agent  Hello! How can I help?",
    "    2.00 s  caller A table for two.",
    "    4.00 s  agent  Certainly, at —",
    "            · barge-in: 1500 ms of unheard speech cleared",
    "    5.00 s  caller [bold]No[/bold]",
    "            · call over (stop)",
]


def printed(*, terminal: bool) -> tuple[list[str], str]:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, color_system=None, width=60)
    printer = ConversationPrinter(console)
    for event in CONVERSATION:
        printer.show(event)
    return out.getvalue().splitlines(), printer.call_sid


def test_each_turn_is_one_line_and_a_cut_one_says_so() -> None:
    assert printed(terminal=False) == (LINES, "CA1")


def test_a_terminal_shows_the_same_in_the_end() -> None:
    assert printed(terminal=True)[0] == LINES


def test_on_a_terminal_words_appear_as_they_come() -> None:
    out = io.StringIO()
    printer = ConversationPrinter(Console(file=out, force_terminal=True, color_system=None, width=60))
    printer.show(CONVERSATION[1])
    assert out.getvalue() == LINES[1].removesuffix(" How can I help?")


def test_a_note_does_not_tear_a_line_that_is_not_printed_yet() -> None:
    out = io.StringIO()
    printer = ConversationPrinter(Console(file=out, color_system=None, width=60))
    for event in (CONVERSATION[1], CONVERSATION[0], *CONVERSATION[2:4]):
        printer.show(event)
    assert out.getvalue().splitlines() == LINES[:2]


def test_what_the_caller_said_is_printed_before_an_answer_that_overtook_it() -> None:
    out = io.StringIO()
    printer = ConversationPrinter(Console(file=out, color_system=None, width=60))
    for event in (
        delta(1, pb.SPEAKER_AGENT, "So you'd like", 3000),
        delta(2, pb.SPEAKER_CALLER, "I'd like a table.", 3100),
        delta(1, pb.SPEAKER_AGENT, " a table.", 3200),
        said(1, pb.SPEAKER_AGENT),
        said(2, pb.SPEAKER_CALLER),
    ):
        printer.show(event)
    assert out.getvalue().splitlines() == [
        "    3.10 s  caller I'd like a table.",
        "    3.00 s  agent  So you'd like a table.",
    ]
