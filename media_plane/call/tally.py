"""What is counted in a call, and added up over calls."""

from __future__ import annotations

from media_plane.call.histogram import Histogram
from media_plane.wire.events import MediaSummary


class Tally:
    """Plain numbers that only grow; the session adds to them, anybody may read them at any time. The latency
    of the newest frames is noted, and counted by `settle`."""

    __slots__ = (
        *("agent_samples", "caller_samples", "down_latency", "dropped_down", "dropped_up", "hello_samples"),
        "interruptions",
        *("marks_returned", "peer_errors", "prompt_tokens", "response", "response_tokens", "up_latency"),
    )

    def __init__(self) -> None:
        self.up_latency = Histogram()  # µs a frame spent here, caller → model
        self.down_latency = Histogram()  # model → caller
        self.response = Histogram()  # µs from the end of the caller's words to the answer's first audio
        self.caller_samples = 0  # 8 kHz
        self.agent_samples = 0  # 8 kHz, written to Twilio
        self.hello_samples = 0  # 8 kHz, caller audio that the greeting answered instead of the model
        self.dropped_up = 0  # audio messages not sent on
        self.dropped_down = 0
        self.interruptions = 0
        self.marks_returned = 0
        self.peer_errors = 0  # messages that could not be understood
        self.prompt_tokens = 0
        self.response_tokens = 0

    def settle(self) -> None:
        self.up_latency.settle()
        self.down_latency.settle()

    def add(self, other: Tally) -> None:
        self.up_latency.merge(other.up_latency)
        self.down_latency.merge(other.down_latency)
        self.response.merge(other.response)
        self.add_counts(other)

    def add_counts(self, other: Tally) -> None:
        """Everything but the histograms."""
        self.caller_samples += other.caller_samples
        self.agent_samples += other.agent_samples
        self.hello_samples += other.hello_samples
        self.dropped_up += other.dropped_up
        self.dropped_down += other.dropped_down
        self.interruptions += other.interruptions
        self.marks_returned += other.marks_returned
        self.peer_errors += other.peer_errors
        self.prompt_tokens += other.prompt_tokens
        self.response_tokens += other.response_tokens

    def summary(self, *, first_audio_ms: int, setup_ms: int, prewarmed: bool) -> MediaSummary:
        return MediaSummary(
            uplink=self.up_latency.latency(),
            downlink=self.down_latency.latency(),
            first_audio_ms=first_audio_ms,
            caller_audio_ms=self.caller_samples // 8,
            agent_audio_ms=self.agent_samples // 8,
            dropped_frames=self.dropped_up + self.dropped_down,
            interruptions=self.interruptions,
            setup_ms=setup_ms,
            prewarmed=prewarmed,
            prompt_tokens=self.prompt_tokens,
            response_tokens=self.response_tokens,
        )
