"""What the simulator is told at its start."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bench.sim.twilio.persona import Persona, parse_persona
from bench.sim.twilio.voice import AUDIO

DEFAULT_PERSONA = parse_persona(
    {
        "answer_after_ms": 800,
        "script": [
            {"wait": "agent_stops", "timeout_ms": 8000},
            {"play": str(AUDIO / "austen-0880.wav")},
            {"wait": "agent_stops"},
            {"play": str(AUDIO / "austen-0890.wav")},
            {"wait": "agent_stops"},
        ],
    }
)


@dataclass(frozen=True)
class Config:
    """Ports of 0 are chosen by the system. `cps` is calls per second, 0 for no queue."""

    host: str = "127.0.0.1"
    port: int = 8093
    admin_port: int = 8094
    account_sid: str = "AC00000000000000000000000000000000"
    auth_token: str = "simulator"  # guards nothing but this simulator
    number: str = "+15005550006"  # Twilio's own test number
    voice_url: str = ""  # asked for TwiML when somebody calls `number`
    seed: int = 0
    recordings: Path | None = None
    speech: bool = True
    persona: Persona = field(default_factory=lambda: DEFAULT_PERSONA)
    cps: float = 1.0
