"""Personas from JSON."""

from __future__ import annotations

from typing import Any

import pytest

from bench.sim.twilio import persona
from bench.sim.twilio.persona import PersonaError, parse_persona


def test_an_empty_persona_answers_after_800_ms_and_listens() -> None:
    it = parse_persona({})
    assert (it.answer_after_ms, it.outcome, it.answered_by, it.script) == (800, "answer", "human", ())
    assert not it.machine


def test_every_step_of_the_documented_script_is_understood() -> None:
    steps: list[dict[str, Any]] = [
        {"play": "/a.wav"},
        {"say": "hello"},
        {"pause_ms": 500},
        {"press": "12#"},
        {"wait": "agent_stops", "timeout_ms": 9000, "for_ms": 700},
        {"wait": "silence"},
        {"barge_in": {"say": "stop"}, "after_ms": 400},
        {"barge_in": {"play": "/b.wav"}},
        {"beep": True},
        {"hangup": True},
    ]
    assert parse_persona({"script": steps, "outcome": "voicemail"}).script == (
        persona.Play("/a.wav"),
        persona.Say("hello"),
        persona.Pause(500),
        persona.Press("12#"),
        persona.Wait("agent_stops", 9000, 700),
        persona.Wait("silence", 15_000, 600),
        persona.BargeIn(persona.Say("stop"), 400, 15_000),
        persona.BargeIn(persona.Play("/b.wav"), 900, 15_000),
        persona.Beep(),
        persona.HangUp(),
    )


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ("x", "persona"),
        ({"mood": "bad"}, "mood"),
        ({"outcome": "maybe"}, "outcome"),
        ({"answered_by": "robot"}, "answered_by"),
        ({"answer_after_ms": -1}, "answer_after_ms"),
        ({"answer_after_ms": True}, "answer_after_ms"),
        ({"hangup_after_script": 1}, "hangup_after_script"),
        ({"script": {}}, "script"),
        ({"script": [{}]}, r"script\[0\]"),
        ({"script": [{"say": "a", "play": "b"}]}, r"script\[0\]"),
        ({"script": [{"say": ""}]}, r"script\[0\].say"),
        ({"script": [{"say": "a", "after_ms": 5}]}, "after_ms"),
        ({"script": [{"press": "1x"}]}, "press"),
        ({"script": [{"wait": "godot"}]}, "wait"),
        ({"script": [{"barge_in": {"beep": True}}]}, "barge_in"),
        ({"script": [{"hangup": False}]}, "hangup"),
        ({"network": {"loss": 2}}, "network.loss"),
    ],
)
def test_a_persona_that_makes_no_sense_is_refused_naming_the_field(data: object, names: str) -> None:
    with pytest.raises(PersonaError, match=names):
        parse_persona(data)
