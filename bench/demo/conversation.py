"""Prints a call's events as a conversation, while it happens."""

from __future__ import annotations

from collections.abc import AsyncIterator

from rich.console import Console
from rich.text import Text

from protos.voiceplane.events.v1.events_pb2 import SPEAKER_CALLER, CallEvent, StreamEndReason


class ConversationPrinter:
    """On a terminal words appear as the model sends them; elsewhere each turn is one plain line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal
        self._open_segment = 0
        self.call_sid = ""  # Twilio's, once the stream has started

    async def follow(self, events: AsyncIterator[CallEvent]) -> None:
        async for event in events:
            self.show(event)

    def show(self, event: CallEvent) -> None:
        kind = event.WhichOneof("body")
        if kind == "transcript_delta" and self._live:
            self._delta(event)
        elif kind == "transcript_segment":
            self._segment(event)
        elif kind == "session_ready":
            ready = event.session_ready
            self._note(
                f"model session ready in {ready.connect_ms + ready.setup_ms} ms, while the phone rings"
            )
        elif kind == "stream_started":
            self.call_sid = event.stream_started.call_sid
            self._note("answered; audio flows")
        elif kind == "interrupted":
            cut = event.interrupted
            self._note(
                f"barge-in: {cut.discarded_ms} ms of unheard speech cleared,"
                f" {cut.flush_us} µs after the model said so"
            )
        elif kind == "dtmf_received":
            self._note(f"key {event.dtmf_received.digit}")
        elif kind == "session_failed":
            self._note(f"model session failed: {event.session_failed.reason}")
        elif kind == "stream_ended":
            name = StreamEndReason.Name(event.stream_ended.reason)
            self._note(f"call over ({name.removeprefix('STREAM_END_REASON_').lower()})")

    def _delta(self, event: CallEvent) -> None:
        delta = event.transcript_delta
        if delta.segment_id != self._open_segment:
            self._close_line()
            self._open_segment = delta.segment_id
            self._console.print(self._head(delta.speaker, event.offset_ms), end="")
            self._console.print(delta.text.lstrip(), end="", markup=False, highlight=False)
            return
        self._console.print(delta.text, end="", markup=False, highlight=False)

    def _segment(self, event: CallEvent) -> None:
        segment = event.transcript_segment
        if segment.segment_id == self._open_segment:
            self._close_line(" —" if segment.interrupted else "")
            return
        if self._live:
            return  # its words were printed as they came
        line = self._head(segment.speaker, segment.start_ms)
        line.append(segment.text.strip() + (" —" if segment.interrupted else ""))
        self._console.print(line, soft_wrap=True)

    def _close_line(self, ending: str = "") -> None:
        if self._open_segment:
            self._console.print(ending)
            self._open_segment = 0

    def _head(self, speaker: int, at_ms: int) -> Text:
        caller = speaker == SPEAKER_CALLER
        head = Text(f"  {max(at_ms, 0) / 1000:6.2f} s  ", style="dim")
        head.append(f"{'caller' if caller else 'agent':<7}", style="cyan" if caller else "green")
        return head

    def _note(self, text: str) -> None:
        self._close_line()
        self._console.print(Text(f"            · {text}", style="dim"), soft_wrap=True)
