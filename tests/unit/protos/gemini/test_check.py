"""What each model takes, as Google's pages have it; and that the checks name the field."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from protos.gemini.check import Service, is_unknown, violations
from protos.gemini.models import MODELS, Platform, bare
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings, TurnSettings

LIVE = "gemini-3.8-live"
THINKING = "gemini-3.8-live-extended-thinking"
PREVIEW = "gemini-3.1-flash-live-preview"
OLD = "gemini-2.5-flash-native-audio-preview-12-2025"
OLD_ON_VERTEX = "gemini-live-2.5-flash-native-audio"
TRANSLATOR = "gemini-3.5-live-translate-preview"

DEVELOPER = Service()
ALPHA = Service(api_version="v1alpha")
VERTEX = Service(platform=Platform.VERTEX, api_version="v1beta1")


@dataclass
class Function:
    blocking: bool = False
    scheduling: str = ""


def fields(settings: AgentSettings, service: Service = DEVELOPER) -> set[str]:
    return set(violations(settings, service))


@pytest.mark.parametrize("name", [LIVE, THINKING, PREVIEW, OLD])
def test_every_model_takes_a_call_that_asks_for_nothing(name: str) -> None:
    assert not fields(AgentSettings(model=name))


def test_the_default_model_is_checked_where_a_call_names_none() -> None:
    assert fields(AgentSettings(thinking_budget=0), Service(default_model=LIVE)) == {"thinking_budget"}
    assert not fields(AgentSettings(thinking_budget=0), Service(default_model=OLD))


@pytest.mark.parametrize(
    ("name", "levels"),
    [(LIVE, set()), (THINKING, {"LOW", "MEDIUM", "HIGH"}), (OLD, set())],
)
def test_thinking_levels_are_the_model_s(name: str, levels: set[str]) -> None:
    taken = {
        level
        for level in AgentSettings.ThinkingLevel.keys()[1:]
        if not fields(AgentSettings(model=name, thinking_level=level))
    }
    assert taken == levels


def test_only_the_2_5_models_take_a_thinking_budget() -> None:
    takers = {name for name, model in MODELS.items() if model.thinking_budget}
    assert takers == {OLD, OLD_ON_VERTEX}
    for name in (LIVE, THINKING, PREVIEW):
        assert fields(AgentSettings(model=name, thinking_budget=100)) == {"thinking_budget"}


def test_affective_dialog_is_gone_from_3_8_and_unanswered_by_3_1() -> None:
    for name in (LIVE, THINKING, PREVIEW):
        assert fields(AgentSettings(model=name, affective_dialog=True)) == {"affective_dialog"}


def test_3_8_is_always_proactive_and_must_not_be_told_otherwise() -> None:
    for name in (LIVE, THINKING):
        assert fields(AgentSettings(model=name, proactive_audio=False)) == {"proactive_audio"}
        assert not fields(AgentSettings(model=name, proactive_audio=True))
    assert fields(AgentSettings(model=PREVIEW, proactive_audio=True)) == {"proactive_audio"}


def test_2_5_is_expressive_in_v1alpha_only_and_on_vertex() -> None:
    asked = AgentSettings(model=OLD, affective_dialog=True, proactive_audio=False)
    found = violations(asked, DEVELOPER)
    assert set(found) == {"affective_dialog", "proactive_audio"}
    assert "GEMINI_API_VERSION=v1alpha" in found["affective_dialog"]
    assert not fields(asked, ALPHA)
    asked.model = OLD_ON_VERTEX
    assert not fields(asked, VERTEX)


def test_a_translator_holds_no_conversation() -> None:
    assert "only translates" in violations(AgentSettings(model=TRANSLATOR), DEVELOPER)["model"]


def test_a_model_is_refused_where_it_is_not_served() -> None:
    assert fields(AgentSettings(model=OLD_ON_VERTEX)) == {"model"}
    assert fields(AgentSettings(model=PREVIEW), VERTEX) == {"model"}
    assert not fields(AgentSettings(model=LIVE), VERTEX)


def test_a_language_is_set_on_vertex_only() -> None:
    assert fields(AgentSettings(language="de-DE")) == {"language"}
    assert not fields(AgentSettings(language="de-DE"), VERTEX)
    assert fields(AgentSettings(language="German!"), VERTEX) == {"language"}


def test_functions_are_called_as_the_model_can() -> None:
    asked = {
        "tools.0": Function(),
        "tools.1": Function(blocking=True),
        "tools.2": Function(scheduling="SILENT"),
    }
    assert not violations(AgentSettings(model=LIVE), DEVELOPER, asked)
    found = violations(AgentSettings(model=THINKING), DEVELOPER, asked)
    assert set(found) == {"tools.1.blocking", "tools.2.scheduling"}
    assert set(violations(AgentSettings(), VERTEX, asked)) == {"tools.2.scheduling"}


def test_what_no_model_takes_is_named_by_its_field() -> None:
    asked = AgentSettings(
        model="a b",
        voice="ü",
        temperature=float("nan"),
        top_p=0,
        max_output_tokens=0,
        turns=TurnSettings(prefix_padding_ms=10_001, silence_duration_ms=0),
    )
    assert fields(asked) == {
        *("model", "voice", "temperature", "top_p", "max_output_tokens"),
        *("turns.prefix_padding_ms", "turns.silence_duration_ms"),
    }
    asked = AgentSettings(model=OLD, thinking_budget=-2, thinking_level="LOW")
    assert fields(asked) == {"thinking_budget", "thinking_level"}


def test_every_knob_of_turn_taking_is_taken_by_every_model() -> None:
    turns = TurnSettings(
        mode="AUTO",
        start_sensitivity="START_SENSITIVITY_LOW",
        end_sensitivity="END_SENSITIVITY_HIGH",
        prefix_padding_ms=0,
        silence_duration_ms=10_000,
        activity_handling="NO_INTERRUPTION",
        turn_coverage="TURN_INCLUDES_ALL_INPUT",
    )
    for name in (LIVE, THINKING, PREVIEW, OLD):
        assert not fields(AgentSettings(model=name, turns=turns))


def test_the_node_s_detector_takes_the_service_s_knobs_and_two_of_its_own() -> None:
    turns = TurnSettings(
        mode="MANUAL",
        start_sensitivity="START_SENSITIVITY_LOW",
        end_sensitivity="END_SENSITIVITY_LOW",
        prefix_padding_ms=0,
        silence_duration_ms=300,
        activity_handling="NO_INTERRUPTION",
        speech_threshold=0.6,
        speech_pad_ms=2000,
    )
    for name in (LIVE, THINKING, PREVIEW, OLD):
        assert not fields(AgentSettings(model=name, turns=turns))
    turns.mode = TurnSettings.AUTO
    assert fields(AgentSettings(turns=turns)) == {"turns.speech_threshold", "turns.speech_pad_ms"}


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.5, float("nan")])
def test_a_threshold_is_a_probability_between_never_and_always(threshold: float) -> None:
    asked = AgentSettings(turns=TurnSettings(mode="MANUAL", speech_threshold=threshold, speech_pad_ms=2001))
    assert fields(asked) == {"turns.speech_threshold", "turns.speech_pad_ms"}


@pytest.mark.parametrize("mode", ["AUTO", "MANUAL"])
def test_an_agent_may_be_held_in_either_mode_if_it_may_be_interrupted_at_all(
    mode: TurnSettings.Mode.ValueType,
) -> None:
    turns = TurnSettings(mode=mode, hold_after_ms=0, hold_timeout_ms=100)
    assert not fields(AgentSettings(turns=turns))
    turns.activity_handling = TurnSettings.NO_INTERRUPTION
    assert fields(AgentSettings(turns=turns)) == {"turns.hold_after_ms"}


def test_the_times_of_a_hold_have_bounds_and_no_meaning_without_one() -> None:
    asked = AgentSettings(turns=TurnSettings(hold_timeout_ms=500))
    assert fields(asked) == {"turns.hold_timeout_ms"}
    asked = AgentSettings(turns=TurnSettings(hold_after_ms=2001, hold_timeout_ms=99))
    assert fields(asked) == {"turns.hold_after_ms", "turns.hold_timeout_ms"}


def test_an_enum_s_number_without_a_name_is_refused() -> None:
    asked = AgentSettings(thinking_level=77, turns=TurnSettings(mode=9))  # type: ignore[arg-type]
    assert fields(asked) == {"thinking_level", "turns.mode"}


def test_a_model_nobody_knows_is_let_through_with_what_any_model_takes_unless_that_is_refused() -> None:
    asked = AgentSettings(model="gemini-9-live", thinking_level="HIGH", affective_dialog=True)
    assert is_unknown(asked, DEVELOPER)
    assert not fields(asked)
    assert fields(asked, Service(unknown_models=False)) == {"model"}
    asked.temperature = 3
    assert fields(asked) == {"temperature"}


@pytest.mark.parametrize(
    "name",
    [LIVE, f"models/{LIVE}", f"publishers/google/models/{LIVE}", f"projects/p/locations/l/models/{LIVE}"],
)
def test_a_model_is_known_by_every_way_to_write_its_name(name: str) -> None:
    assert bare(name) == LIVE
    assert not is_unknown(AgentSettings(model=name), DEVELOPER)
