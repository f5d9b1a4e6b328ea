"""What answering-machine detection says, and when."""

from __future__ import annotations

import pytest

from bench.sim.twilio.amd import HUMAN_MS, MACHINE_MS, verdict
from bench.sim.twilio.callee import Act, Rest, RingOff, Speak
from bench.sim.twilio.persona import Persona

GREETING: list[Act] = [
    Rest(500),
    Speak(b"\x00" * 16000, "greeting"),
    Speak(b"\x00" * 4000, "beep"),
    RingOff(),
]
VOICEMAIL = Persona(outcome="voicemail")


def test_a_person_is_human_under_both_modes() -> None:
    assert verdict(Persona(), [], "Enable", 30) == ("human", HUMAN_MS)
    assert verdict(Persona(), [], "DetectMessageEnd", 30) == ("human", HUMAN_MS)


def test_a_machine_is_told_at_its_start_or_at_its_beep() -> None:
    assert verdict(VOICEMAIL, GREETING, "Enable", 30) == ("machine_start", MACHINE_MS)
    assert verdict(VOICEMAIL, GREETING, "DetectMessageEnd", 30) == ("machine_end_beep", 3000)
    assert verdict(Persona(answered_by="machine"), GREETING, "Enable", 30)[0] == "machine_start"


def test_a_machine_without_a_beep_ends_in_silence() -> None:
    who, after_ms = verdict(VOICEMAIL, [a for a in GREETING if a != GREETING[2]], "DetectMessageEnd", 30)
    assert who == "machine_end_silence"
    assert after_ms > 2500


def test_a_long_greeting_runs_into_the_timeout() -> None:
    assert verdict(VOICEMAIL, [Rest(60_000), *GREETING], "DetectMessageEnd", 5) == ("unknown", 5000)


@pytest.mark.parametrize("who", ["fax", "unknown"])
def test_others_are_what_the_persona_says(who: str) -> None:
    assert verdict(Persona(answered_by=who), [], "Enable", 30)[0] == who  # type: ignore[arg-type]
