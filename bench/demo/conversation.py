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
)


class ConversationPrinter:
    """On a terminal words appear as the model sends them; elsewhere each turn is a line, once it is over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal
        self._segment = 0  # whose words are being taken; 0: none
        self._speaker = 0
        self._line = Text()  # not yet printed
        self.call_sid = ""  # Twilio's, once the stream has started

    async def follow(self, events: AsyncIterator[CallEvent]) -> None:
        async for event in events:
            self.show(event)

    def show(self, event: CallEvent) -> None:
        kind = event.WhichOneof("body")
        if kind == "transcript_delta":
            self._delta(event)
        elif kind == "session_ready":
            ready = event.session_ready
            self._note(f"model session ready in {ready.connect_ms + ready.setup_ms} ms, while it rings")
        elif kind == "stream_started":
            self.call_sid = event.stream_started.call_sid
            self._note("answered; audio flows")
        elif kind == "interrupted":
            cut = event.interrupted
            self._end_line(" —" if self._speaker == SPEAKER_AGENT else "")
            self._note(f"barge-in: {cut.discarded_ms} ms of unheard speech cleared")
        elif kind == "dtmf_received":
            self._note(f"key {event.dtmf_received.digit}")
        elif kind == "session_failed":
            self._note(f"model session failed: {event.session_failed.reason}")
        elif kind == "stream_ended":
            self._end_line()
            name = StreamEndReason.Name(event.stream_ended.reason)
            self._note(f"call over ({name.removeprefix('STREAM_END_REASON_').lower()})")

    def _delta(self, event: CallEvent) -> None:
        delta = event.transcript_delta
        text = delta.text
        if delta.segment_id != self._segment:
            self._end_line()
            self._segment, self._speaker = delta.segment_id, delta.speaker
            caller = delta.speaker == SPEAKER_CALLER
            self._line.append(f"  {max(event.offset_ms, 0) / 1000:6.2f} s  ", style="dim")
            self._line.append(f"{'caller' if caller else 'agent':<7}", style="cyan" if caller else "green")
            text = text.lstrip()
        self._line.append(text)
        if self._live:
            self._flush(end="")

    def _end_line(self, ending: str = "") -> None:
        if self._segment:
            self._line.append(ending)
            self._flush(end="\n")
        self._segment = self._speaker = 0

    def _flush(self, end: str) -> None:
        self._console.print(self._line, end=end, soft_wrap=True)
        self._line = Text()

    def _note(self, text: str) -> None:
        if self._live:
            self._end_line()  # a line that is being read can't be stepped over; one still kept back can
        self._console.print(Text(f"            · {text}", style="dim"), soft_wrap=True)
