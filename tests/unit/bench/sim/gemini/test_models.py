"""What each model refuses, and how; and that what voiceplane lets through is what the simulator takes."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from bench.sim.gemini.session import Connection
from protos.gemini.check import Service, violations
from protos.gemini.models import MODELS, ClientContent, Platform
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings
from tests.support.gemini_sim import Played, audio_frame, tone

BAD = (1007, "Request contains an invalid argument.")
PATHS = {
    Platform.DEVELOPER: "models/{}",
    Platform.VERTEX: "projects/p/locations/l/publishers/google/models/{}",
}


def played(
    model: str, platform: Platform = Platform.DEVELOPER, version: str = "v1beta", **setup: Any
) -> Played:
    """A session after its setup."""
    found = Played(connection=Connection(version, platform is Platform.VERTEX, "a-key"))
    found.send({"setup": {"model": PATHS[platform].format(model), **setup}})
    found.run(1000)
    return found


def outcome(session: Played) -> tuple[int, str] | str:
    if session.closes:
        return session.closes[0].code, session.closes[0].reason
    return "answered" if session.times("setupComplete") else "silence"


@pytest.mark.parametrize(
    ("model", "setup", "expected"),
    [
        ("gemini-3.8-live", {"thinkingConfig": {"thinkingLevel": "LOW"}}, BAD),
        ("gemini-3.8-live", {"thinkingConfig": {"thinkingBudget": 0}}, BAD),
        ("gemini-3.8-live", {"enableAffectiveDialog": True}, BAD),
        ("gemini-3.8-live-extended-thinking", {"thinkingConfig": {"thinkingLevel": "XHIGH"}}, BAD),
        ("gemini-3.8-live-extended-thinking", {"thinkingConfig": {"thinkingLevel": "HIGH"}}, "answered"),
        ("gemini-3.1-flash-live-preview", {"thinkingConfig": {"thinkingLevel": "MINIMAL"}}, "answered"),
        ("gemini-3.1-flash-live-preview", {"enableAffectiveDialog": True}, "silence"),
        (
            "gemini-2.5-flash-native-audio-preview-12-2025",
            {"thinkingConfig": {"thinkingBudget": 0}},
            "answered",
        ),
        ("gemini-2.5-flash-native-audio-preview-12-2025", {"thinkingConfig": {"thinkingLevel": "LOW"}}, BAD),
    ],
)
def test_a_setup_is_taken_refused_or_left_unanswered_by_its_model(
    model: str, setup: dict[str, Any], expected: object
) -> None:
    assert outcome(played(model, generationConfig=setup)) == expected


def test_2_5_knows_affective_dialog_in_v1alpha_only() -> None:
    model, setup = "gemini-2.5-flash-native-audio-preview-12-2025", {"enableAffectiveDialog": True}
    code, reason = outcome(played(model, generationConfig=setup))
    assert code == 1007
    assert reason == (
        'Invalid JSON payload received. Unknown name "enableAffectiveDialog" at '
        "'setup.generation_config': Cannot find field."
    )
    assert outcome(played(model, version="v1alpha", generationConfig=setup)) == "answered"


def test_a_model_is_found_only_where_it_is_served() -> None:
    code, _ = outcome(played("gemini-live-2.5-flash-native-audio"))
    assert code == 1008
    assert outcome(played("gemini-live-2.5-flash-native-audio", Platform.VERTEX, "v1beta1")) == "answered"
    code, _ = outcome(played("gemini-3.1-flash-live-preview", Platform.VERTEX, "v1beta1"))
    assert code == 1008


def test_3_1_takes_content_only_before_realtime_input() -> None:
    for model, expected in (("gemini-3.1-flash-live-preview", [BAD]), ("gemini-3.8-live", [])):
        session = played(model)
        session.send({"clientContent": {"turnComplete": True}})
        assert not session.closes
        session.send(audio_frame(tone(20)))
        session.send({"clientContent": {"turnComplete": True}})
        assert [(close.code, close.reason) for close in session.closes] == expected


@pytest.mark.parametrize(
    ("model", "platform", "version"),
    [
        ("gemini-3.8-live", Platform.VERTEX, "v1beta1"),
        ("gemini-3.8-live-extended-thinking", Platform.DEVELOPER, "v1beta"),
    ],
)
def test_scheduling_is_refused_where_it_is_not_supported(
    model: str, platform: Platform, version: str
) -> None:
    session = played(model, platform, version)
    response = {"id": "1", "name": "f", "response": {}, "scheduling": "SILENT"}
    session.send({"toolResponse": {"functionResponses": [response]}})
    assert [(close.code, close.reason) for close in session.closes] == [BAD]


SERVICES = [
    *(Service(api_version=version) for version in ("v1beta", "v1alpha")),
    Service(platform=Platform.VERTEX, api_version="v1beta1"),
]
KNOBS: list[dict[str, Any]] = [
    {},
    *({"thinking_level": level} for level in AgentSettings.ThinkingLevel.keys()[1:]),
    {"thinking_budget": 0},
    *({name: on} for name in ("affective_dialog", "proactive_audio") for on in (True, False)),
]


def as_setup(asked: dict[str, Any]) -> dict[str, Any]:
    match asked:
        case {"thinking_level": level}:
            return {"generationConfig": {"thinkingConfig": {"thinkingLevel": level}}}
        case {"thinking_budget": budget}:
            return {"generationConfig": {"thinkingConfig": {"thinkingBudget": budget}}}
        case {"affective_dialog": on}:
            return {"generationConfig": {"enableAffectiveDialog": on}}
        case {"proactive_audio": on}:
            return {"proactivity": {"proactiveAudio": on}}
        case _:
            return {}


@pytest.mark.parametrize("service", SERVICES, ids=lambda each: f"{each.platform.name} {each.api_version}")
def test_two_tables_written_apart_agree_on_every_model_and_knob(service: Service) -> None:
    for name, asked in itertools.product(MODELS, KNOBS):
        let_through = not violations(AgentSettings(model=name, **asked), service)
        answered = (
            outcome(played(name, service.platform, service.api_version, **as_setup(asked))) == "answered"
        )
        # A mention of `false` that the silent model was never seen with: we don't try our luck.
        if name == "gemini-3.1-flash-live-preview" and False in asked.values():
            assert not let_through
        else:
            assert let_through == answered, (name, asked)


def test_both_tables_agree_on_when_content_may_be_sent() -> None:
    for name, model in MODELS.items():
        if Platform.DEVELOPER not in model.platforms or not model.converses:
            continue
        session = played(name)
        session.send(audio_frame(tone(20)))
        session.send({"clientContent": {"turnComplete": True}})
        assert (not session.closes) == (model.client_content is ClientContent.ANY_TIME), name
