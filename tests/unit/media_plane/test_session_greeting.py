"""A call whose greeting waits for the callee's hello, frame by frame."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from media_plane.call.greeting import GreetingMode
from media_plane.dsp.g711 import compress, mean_level
from media_plane.wire.events import EndReason, StreamEnded, TurnCompleted
from tests.support.scene import Scene

VOICE = compress(np.round(6000 * np.sin(np.arange(160) * 0.3)).astype(np.int16)).tobytes()
HUSH = b"\xff" * 160


def _is_audio(message: dict[str, Any]) -> bool:
    return "realtimeInput" in message


class Ringing(Scene):
    """A greeting of one second was made while it rang."""

    def __init__(self, mode: GreetingMode = GreetingMode.AFTER_HELLO, *, ready: bool = True) -> None:
        super().__init__("Good day!", started=False, ready=ready, greeting_mode=mode)
        if ready:
            self.greet()

    def greet(self) -> None:
        self.speak(1000, outputTranscription={"text": "Good day!"})
        self.content(generationComplete=True)
        self.content(turnComplete=True)

    def line(self, ms: int, ulaw: bytes) -> None:
        """The callee's line in real time, and the node's ticks."""
        for _ in range(ms // 20):
            self.at_ms += 20
            self.media(ulaw)
            if self.at_ms % 100 == 0:
                self.session.tick(self.now)

    @property
    def heard_ms(self) -> int:
        """Caller audio that the model was sent."""
        parts = [
            message["realtimeInput"]["audio"]["data"] for message in self.model.sent if _is_audio(message)
        ]
        return sum(len(base64.b64decode(part)) for part in parts) // 32


def test_the_greeting_leaves_in_the_pause_after_hello_and_the_model_does_not_hear_the_hello() -> None:
    scene = Ringing()
    scene.start()
    scene.line(300, HUSH)
    scene.line(500, VOICE)
    assert not scene.played
    scene.line(500, HUSH)
    assert len(scene.played) == 8000
    assert scene.heard_ms <= 100  # what came after the greeting had left
    assert 1000 <= scene.session.tally.hello_samples // 8 <= 1300
    scene.line(1000, VOICE)
    assert scene.heard_ms >= 1000


def test_it_leaves_after_a_silence_when_the_callee_says_nothing() -> None:
    scene = Ringing()
    scene.start()
    scene.line(1100, HUSH)
    assert not scene.played
    scene.line(200, HUSH)
    assert len(scene.played) == 8000


def test_a_callee_who_says_more_than_hello_is_heard_whole_while_the_greeting_waits() -> None:
    scene = Ringing()
    scene.start()
    scene.line(3000, VOICE)
    assert not scene.played
    assert scene.heard_ms >= 2900
    scene.line(600, HUSH)
    assert len(scene.played) == 8000
    assert scene.session.tally.hello_samples == 0


def test_the_greeting_s_response_time_counts_from_the_hello() -> None:
    scene = Ringing()
    scene.start()
    scene.line(500, VOICE)
    scene.line(2500, HUSH)
    scene.session.tick(scene.now)
    (turn,) = scene.of(TurnCompleted)
    assert 380 <= turn.response_ms <= 520
    assert turn.audio_ms == 1000


def test_a_greeting_still_being_made_follows_when_it_comes() -> None:
    scene = Ringing(ready=False)
    scene.start()
    scene.line(500, VOICE)
    scene.line(500, HUSH)
    scene.ready()
    assert scene.heard_ms <= 100  # what came after the greeting might have left
    scene.line(200, HUSH)
    assert 200 <= scene.heard_ms <= 300
    scene.greet()
    assert len(scene.played) == 8000


def test_an_immediate_greeting_leaves_with_the_stream_s_start() -> None:
    scene = Ringing(GreetingMode.IMMEDIATE)
    scene.start()
    assert len(scene.played) == 8000


def test_what_waited_for_a_hello_that_never_came_ends_with_the_call() -> None:
    scene = Ringing()
    scene.start()
    scene.line(500, VOICE)
    assert scene.session.unplayed_ms == 1000
    scene.session.end(EndReason.REQUESTED, "", scene.now)
    assert scene.of(StreamEnded)
    assert not scene.played


def test_the_level_of_a_frame_is_its_mean_amplitude() -> None:
    assert mean_level(HUSH) == 0
    assert mean_level(b"") == 0
    assert abs(mean_level(VOICE) - 6000 * 2 / np.pi) < 200
