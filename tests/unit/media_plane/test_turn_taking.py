"""An agent's settings as those who do it here take them."""

from __future__ import annotations

import pytest

from media_plane.call.activity import Detection
from media_plane.call.hold import HoldKnobs
from media_plane.turn_taking import detection, hold_knobs, includes_all_input
from protos.voiceplane.agents.v1.agents_pb2 import TurnSettings

MS = 1_000_000


def test_nothing_is_done_here_unless_it_is_asked_for() -> None:
    for turns in (TurnSettings(), TurnSettings(mode="AUTO", silence_duration_ms=300)):
        assert detection(turns) is None
        assert hold_knobs(turns) is None


def test_every_knob_of_the_detector_has_a_default_and_can_be_set_to_nothing() -> None:
    assert detection(TurnSettings(mode="MANUAL")) == Detection()
    turns = TurnSettings(
        mode="MANUAL", prefix_padding_ms=0, silence_duration_ms=200, speech_pad_ms=0, speech_threshold=0.8
    )
    found = detection(turns)
    assert found is not None
    assert (found.prefix_padding_ms, found.silence_duration_ms, found.speech_pad_ms) == (0, 200, 0)
    assert (found.threshold, found.release) == (0.8, pytest.approx(0.65))


@pytest.mark.parametrize(
    ("turns", "threshold", "release"),
    [
        ({"start_sensitivity": "START_SENSITIVITY_HIGH"}, 0.5, 0.35),
        ({"start_sensitivity": "START_SENSITIVITY_LOW"}, 0.7, 0.55),
        ({"end_sensitivity": "END_SENSITIVITY_HIGH"}, 0.5, 0.4),
        ({"end_sensitivity": "END_SENSITIVITY_LOW"}, 0.5, 0.2),
        ({"start_sensitivity": "START_SENSITIVITY_LOW", "speech_threshold": 0.1}, 0.1, 0.01),
        ({"speech_threshold": 0.001}, 0.001, 0.001),
    ],
)
def test_sensitivities_are_probabilities(turns: dict[str, str], threshold: float, release: float) -> None:
    found = detection(TurnSettings(mode="MANUAL", **turns))  # type: ignore[arg-type]
    assert found is not None
    assert (found.threshold, found.release) == (threshold, pytest.approx(release))
    assert 0 < found.release <= found.threshold


def test_a_hold_is_asked_for_by_its_time() -> None:
    assert hold_knobs(TurnSettings(hold_after_ms=0)) == HoldKnobs(0, 800 * MS)
    assert hold_knobs(TurnSettings(hold_after_ms=90, hold_timeout_ms=1200)) == HoldKnobs(90 * MS, 1200 * MS)


def test_turns_that_include_all_input_are_told_from_others() -> None:
    assert includes_all_input(TurnSettings(turn_coverage="TURN_INCLUDES_ALL_INPUT"))
    assert not includes_all_input(TurnSettings())
