"""The gate: what the model is sent of a caller's audio, marked, in order, once."""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from media_plane.activity_gate import CHUNK, ActivityGate, Detector, GateCounts
from media_plane.call.activity import Detection
from media_plane.leg import TEXT
from media_plane.wire import gemini
from tests.support.scene import RecordedLeg

LOUD = 4000
DETECTION = Detection(prefix_padding_ms=96, silence_duration_ms=320, speech_pad_ms=64)


class LevelDetector:
    """Takes what is loud for speech."""

    def __init__(self) -> None:
        self.asked = 0
        self.resets = 0

    def probability(self, pcm16k: NDArray[np.int16]) -> float:
        self.asked += 1
        assert pcm16k.shape == (CHUNK,)
        return float(np.abs(pcm16k.astype(np.int32)).mean() > LOUD / 2)

    def reset(self) -> None:
        self.resets += 1


class Uplink:
    """A gate with frames coming in, each with its number as its first sample."""

    def __init__(self, *, rate: int = 16_000, all_input: bool = False) -> None:
        self.detector = LevelDetector()
        self.counts = GateCounts()
        self.released: list[Detector] = []
        self.woken: list[ActivityGate] = []
        self.rate = rate
        self.gate = ActivityGate(
            DETECTION,
            self.detector,
            rate=rate,
            all_input=all_input,
            counts=self.counts,
            wake=self.woken.append,
            release=self.released.append,
        )
        self.model = RecordedLeg()
        self.leg = self.gate.attach(self.model)
        self.frames = 0

    def frame(self, amplitude: int, *, listen: bool = True) -> None:
        self.frames += 1
        pcm = np.full(self.rate // 50, amplitude, "<i2")
        pcm[0] = self.frames
        data = base64.b64encode(pcm.tobytes())
        buffer = bytearray(b"....") + gemini.audio_head(self.rate) + data + gemini.AUDIO_TAIL
        self.leg.send(TEXT, buffer, 4)
        if listen:
            self.listen()

    def speak(self, ms: int) -> None:
        for _ in range(ms // 20):
            self.frame(LOUD)

    def hush(self, ms: int, amplitude: int = 100) -> None:
        for _ in range(ms // 20):
            self.frame(amplitude)

    def listen(self) -> None:
        while self.woken:
            gate = self.woken.pop()
            while gate.listen():
                pass

    @property
    def told(self) -> list[Any]:
        """In order: samples of audio, or what else was said, by its name."""
        return [summary(message) for message in self.model.sent]


def summary(message: dict[str, Any]) -> int | str:
    body = message["realtimeInput"]
    if "audio" in body:
        return len(base64.b64decode(body["audio"]["data"])) // 2
    ((name, value),) = body.items()
    return str(value) if name == "text" else str(name)


def test_audio_goes_up_within_a_turn_alone_with_what_was_said_before_it_was_sure() -> None:
    up = Uplink()
    up.hush(1000)
    assert up.told == []
    up.speak(600)
    up.hush(1000)
    assert up.told[0] == "activityStart"
    assert up.told[-1] == "activityEnd"
    audio = up.told[1:-1]
    assert set(audio) == {320}
    # 64 ms before, 600 of speech, 320 of silence, and what is judged is 32 ms long.
    assert 960 <= sum(audio) / 16 <= 1060
    assert (up.counts.starts, up.counts.ends) == (1, 1)


def test_the_model_gets_every_turn_and_nothing_between() -> None:
    up = Uplink()
    for _ in range(3):
        up.hush(2000)
        up.speak(500)
    up.hush(2000)
    marks = [told for told in up.told if isinstance(told, str)]
    assert marks == ["activityStart", "activityEnd"] * 3
    turns = up.counts.withheld_samples / 16
    sent = sum(told for told in up.told if isinstance(told, int)) / 16
    assert abs(turns + sent - up.frames * 20) <= 200  # the rest still waits


def test_a_click_is_no_turn() -> None:
    up = Uplink()
    up.speak(60)
    up.hush(1000)
    assert up.told == []


def test_silence_is_not_even_shown_to_the_detector() -> None:
    up = Uplink()
    up.hush(3200, amplitude=20)
    assert up.detector.asked == 0
    assert up.counts.quiet == 100
    assert up.detector.resets == 2  # with the session, and when it had been quiet for long


def test_the_pieces_are_whole_whatever_the_frames() -> None:
    up = Uplink()
    for _ in range(8):
        up.frame(LOUD)
    assert up.counts.judged == 8 * 320 // 512


def test_8_khz_is_judged_and_sent_as_it_is() -> None:
    up = Uplink(rate=8000)
    up.hush(400)
    up.speak(600)
    up.hush(1000)
    assert up.told[0] == "activityStart"
    assert up.told[-1] == "activityEnd"
    assert set(up.told[1:-1]) == {160}


def test_with_turns_that_include_all_input_everything_goes_up_at_once() -> None:
    up = Uplink(all_input=True)
    up.hush(200)
    up.speak(400)
    up.hush(1000)
    marks = [told for told in up.told if isinstance(told, str)]
    assert marks == ["activityStart", "activityEnd"]
    assert sum(told for told in up.told if isinstance(told, int)) == up.frames * 320


def test_text_for_a_turn_stands_within_one() -> None:
    up = Uplink()
    up.gate.say_within(b'{"realtimeInput":{"text":"old"}}')
    up.gate.say_within(b'{"realtimeInput":{"text":"new"}}')
    assert up.told == []
    up.speak(200)
    assert up.told[:2] == ["activityStart", "new"]
    up.gate.say_within(b'{"realtimeInput":{"text":"more"}}')
    assert up.told[-1] == "more"
    up.hush(1000)
    up.speak(200)
    assert "new" not in up.told[2:]


def test_audio_that_came_while_it_waited_to_be_judged_is_in_the_turn() -> None:
    up = Uplink()
    for amplitude in [100] * 10 + [LOUD] * 30:  # as when the model was not ready
        up.frame(amplitude, listen=False)
    assert len(up.woken) == 1
    up.listen()
    assert up.told[0] == "activityStart"
    assert sum(up.told[1:]) / 16 >= 600


def test_more_than_can_be_judged_is_not_kept_for_ever() -> None:
    up = Uplink()
    for _ in range(3000):  # a minute
        up.frame(100, listen=False)
    assert 0 < up.counts.skipped <= 3000 * 320 // 512
    up.listen()
    up.speak(600)
    assert up.told[0] == "activityStart"
    assert sum(up.told[1:]) / 16 <= 800


def test_another_session_of_the_model_s_begins_anew() -> None:
    up = Uplink()
    up.speak(400)
    assert up.gate.speaking
    up.model = RecordedLeg()
    up.leg = up.gate.attach(up.model)
    assert not up.gate.speaking
    up.hush(600)
    assert up.told == []
    up.speak(400)
    assert up.told[0] == "activityStart"


def test_what_is_no_audio_passes() -> None:
    up = Uplink()
    up.leg.send_text(b'{"realtimeInput":{"text":"hello"}}')
    assert up.told == ["hello"]
    assert not up.leg.congested
    up.model.congested = True
    assert up.leg.congested


@pytest.mark.parametrize("how", ["closed", "let go"])
def test_the_detector_is_given_back_once(how: str) -> None:
    up = Uplink()
    up.frame(LOUD)
    up.frame(LOUD, listen=False)
    if how == "closed":
        up.leg.close(1000, "")
        assert up.model.closed == (1000, "")
    up.gate.let_go()
    up.gate.let_go()
    assert up.released == [up.detector]
    up.listen()
    up.frame(LOUD)  # nobody listens any more
    assert up.told == []


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 50), st.booleans()), min_size=1, max_size=8),
    st.sampled_from([8000, 16_000]),
)
def test_each_frame_goes_up_at_most_once_in_order_and_turns_have_no_holes(
    script: list[tuple[bool, int, bool]], rate: int
) -> None:
    up = Uplink(rate=rate)
    for loud, frames, listen in script:
        for _ in range(frames):
            up.frame(LOUD if loud else 100, listen=listen)
    up.listen()
    up.hush(1000)
    turns: list[list[int]] = []
    within = False
    for message in up.model.sent:
        told = summary(message)
        if isinstance(told, str):
            assert within is (told == "activityEnd")
            within = not within
            if within:
                turns.append([])
            continue
        assert within
        turns[-1].append(number(message))
    assert not within
    assert all(turn == list(range(turn[0], turn[-1] + 1)) for turn in turns)
    assert all(one[-1] < other[0] for one, other in pairwise(turns))


def number(message: dict[str, Any]) -> int:
    """Of the frame."""
    return int(np.frombuffer(base64.b64decode(message["realtimeInput"]["audio"]["data"]), "<i2")[0])
