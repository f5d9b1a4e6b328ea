"""A call in which the agent is cut off: what is told to the watchers, and to the model."""

from __future__ import annotations

from typing import Any

import pytest

from media_plane.wire.events import EndReason, Interrupted, Speaker, TranscriptSegment
from media_plane.wire.gemini_notes import Telling
from tests.unit.media_plane.test_session import SID, Scene


class Answered(Scene):
    """An answer of 4 s whose text comes with its audio."""

    def __init__(self, telling: Telling = Telling.CLIENT_CONTENT) -> None:
        super().__init__(telling=telling)
        for text in (" We are open", " from nine", " until six.", " Every day."):
            self.speak(1000, outputTranscription={"text": text})

    @property
    def notes(self) -> list[dict[str, Any]]:
        return [message for message in self.model.sent if "clientContent" in message]

    def agent(self) -> list[tuple[str, str, bool]]:
        return [
            (segment.text, segment.unheard_text, segment.interrupted)
            for segment in self.of(TranscriptSegment)
            if segment.speaker is Speaker.AGENT
        ]


def test_an_answer_cut_off_is_told_in_two_parts() -> None:
    scene = Answered()
    scene.at_ms += 3500
    scene.content(interrupted=True)
    scene.content(turnComplete=True)
    scene.content(outputTranscription={"text": " But Sunday."})
    scene.tick(400)
    assert scene.agent() == [("We are open from nine", "until six. Every day. But Sunday.", True)]


def test_the_model_is_told_at_once_after_the_caller_is_silenced_for() -> None:
    scene = Answered()
    scene.at_ms += 3500
    scene.content(interrupted=True)
    (note,) = scene.notes
    content = note["clientContent"]
    assert content["turnComplete"] is False
    told = content["turns"][0]["parts"][0]["text"]
    assert '"We are open from nine"' in told
    assert '"until six. Every day."' in told


def test_a_model_that_must_not_be_told_is_not() -> None:
    scene = Answered(Telling.NEVER)
    scene.content(interrupted=True)
    assert scene.of(Interrupted)
    assert not scene.notes


def test_nothing_is_to_be_told_of_an_answer_that_was_heard_out() -> None:
    scene = Answered()
    scene.content(generationComplete=True)
    scene.at_ms += 4100
    scene.content(interrupted=True)
    scene.tick(400)
    assert not scene.notes
    assert scene.agent() == [("We are open from nine until six. Every day.", "", True)]


@pytest.mark.parametrize("how", ["stop", "away", "ended"])
def test_the_end_of_the_call_cuts_what_still_plays(how: str) -> None:
    scene = Answered()
    scene.at_ms += 3600
    if how == "stop":
        scene.twilio(event="stop", streamSid=SID, stop={"callSid": "CA1"})
    elif how == "away":
        scene.session.caller_closed("1006", scene.now)
    else:
        scene.session.end(EndReason.REQUESTED, "", scene.now)
    assert scene.agent() == [("We are open from nine", "until six. Every day.", True)]
    assert not scene.notes


def test_marks_that_say_nothing_change_nothing() -> None:
    scene = Answered()
    for name in ("m99", "p7", "p", "x", "m8000"):
        scene.twilio(event="mark", streamSid=SID, mark={"name": name})
    scene.at_ms += 2600
    scene.content(interrupted=True)
    assert scene.of(Interrupted) == [Interrupted(1, 1400, 0)]


def test_audio_that_twilio_s_socket_did_not_take_was_not_heard() -> None:
    scene = Answered()
    scene.caller.congested = True
    scene.speak(1000, outputTranscription={"text": " Good"})
    scene.caller.congested = False
    scene.content(outputTranscription={"text": " bye."}, generationComplete=True, turnComplete=True)
    scene.tick(6000)
    ((text, unheard, _),) = scene.agent()
    assert text.startswith("We are open")
    assert unheard.endswith("bye.")
