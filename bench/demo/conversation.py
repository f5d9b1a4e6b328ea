"""Prints a call's events as a conversation, while it happens."""

from __future__ import annotations

from collections.abc import AsyncIterator

from rich.console import Console
from rich.text import Text

from protos.voiceplane.events.v1.events_pb2 import (
    SPEAKER_AGENT,
    SPEAKER_CALLER,
    CallEvent,
    StreamEndReason,
    TranscriptDelta,
)


class ConversationPrinter:
    """On a terminal words appear as the model sends them; elsewhere each turn is a line, once it is over.

    The model may answer before it has sent all of what it heard. Lines are kept back for that: what the
    caller said is printed before what the agent says to it.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._words = _Live(console) if console.is_terminal else _Lines(console)
        self.call_sid = ""  # Twilio's, once the stream has started

    async def follow(self, events: AsyncIterator[CallEvent]) -> None:
        """Until the media leg is over; the stream itself stays open a little longer, for stragglers."""
        async for event in events:
            self.show(event)
            if event.HasField("stream_ended"):
                return

    def show(self, event: CallEvent) -> None:
        kind = event.WhichOneof("body")
        if kind == "transcript_delta":
            self._words.add(event.transcript_delta, event.offset_ms)
        elif kind == "transcript_segment":
            if event.transcript_segment.speaker == SPEAKER_AGENT:
                self._words.end()
        elif kind == "session_ready":
            ready = event.session_ready
            self._note(f"model session ready in {ready.connect_ms + ready.setup_ms} ms, while it rings")
        elif kind == "stream_started":
            self.call_sid = event.stream_started.call_sid
            self._note("answered; audio flows")
        elif kind == "interrupted":
            self._words.end(cut=True)
            self._note(f"barge-in: {event.interrupted.discarded_ms} ms of unheard speech cleared")
        elif kind == "dtmf_received":
            self._note(f"key {event.dtmf_received.digit}")
        elif kind == "session_failed":
            self._note(f"model session failed: {event.session_failed.reason}")
        elif kind == "stream_ended":
            self._words.end()
            name = StreamEndReason.Name(event.stream_ended.reason)
            self._note(f"call over ({name.removeprefix('STREAM_END_REASON_').lower()})")

    def _note(self, text: str) -> None:
        self._words.step_aside()
        self._console.print(Text(f"            · {text}", style="dim"), soft_wrap=True)


def _head(speaker: int, offset_ms: int) -> Text:
    caller = speaker == SPEAKER_CALLER
    head = Text(f"  {max(offset_ms, 0) / 1000:6.2f} s  ", style="dim")
    head.append(f"{'caller' if caller else 'agent':<7}", style="cyan" if caller else "green")
    return head


class _Lines:
    """One line a segment, printed when it is over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._open: dict[int, tuple[int, Text]] = {}  # speaker -> segment, what to print

    def add(self, delta: TranscriptDelta, offset_ms: int) -> None:
        segment, line = self._open.get(delta.speaker, (0, Text()))
        if segment != delta.segment_id:
            if segment:
                self.end()
            line = _head(delta.speaker, offset_ms).append(delta.text.lstrip(), style="default")
            self._open[delta.speaker] = (delta.segment_id, line)
        else:
            line.append(delta.text, style="default")

    def end(self, *, cut: bool = False) -> None:
        """Print what is open: the caller first, then the agent's answer to it; `cut`: mid-sentence."""
        for speaker in (SPEAKER_CALLER, SPEAKER_AGENT):
            if speaker in self._open:
                _, line = self._open.pop(speaker)
                if cut and speaker == SPEAKER_AGENT:
                    line.append(" —")
                self._console.print(line, soft_wrap=True)

    def step_aside(self) -> None:
        """A note is printed before a line that is not over."""


class _Live:
    """Words as they come; a line that is left for another speaker or a note is taken up in a new one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._segment = 0  # on the line that is open; 0: none is
        self._speaker = 0

    def add(self, delta: TranscriptDelta, offset_ms: int) -> None:
        text = Text(delta.text)
        if delta.segment_id != self._segment:
            self.end()
            self._segment, self._speaker = delta.segment_id, delta.speaker
            text = _head(delta.speaker, offset_ms).append(delta.text.lstrip(), style="default")
        self._console.print(text, end="", soft_wrap=True)

    def end(self, *, cut: bool = False) -> None:
        if self._segment:
            self._console.print(" —" if cut and self._speaker == SPEAKER_AGENT else "")
        self._segment = self._speaker = 0

    def step_aside(self) -> None:
        self.end()
