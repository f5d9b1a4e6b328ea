"""Answering-machine detection: what it concludes, and when. Source: Twilio's AMD parameters and FAQ.

The simulator knows who answers, so the verdict is exact; only its time is modelled on Twilio's thresholds.
"""

from __future__ import annotations

from bench.sim.twilio.callee import Act, Rest, RingOff, Speak
from bench.sim.twilio.mulaw import RATE
from bench.sim.twilio.persona import Persona
from bench.sim.twilio.request import Detection

HUMAN_MS = 1800  # a short "hello" and 1200 ms of quiet (MachineDetectionSpeechEndThreshold)
MACHINE_MS = 2400  # speech longer than MachineDetectionSpeechThreshold
FAX_MS = 2000
SILENCE_AFTER_GREETING_MS = 1200


def verdict(persona: Persona, acts: list[Act], detection: Detection, timeout_s: int) -> tuple[str, int]:
    """`AnsweredBy`, and how long after the answer (ms) it is known."""
    answered_by, after_ms = _judge(persona, acts, detection)
    timeout_ms = timeout_s * 1000
    return (answered_by, after_ms) if after_ms < timeout_ms else ("unknown", timeout_ms)


def _judge(persona: Persona, acts: list[Act], detection: Detection) -> tuple[str, int]:
    if persona.machine and detection == "Enable":
        return "machine_start", MACHINE_MS
    if persona.machine:
        greeting_ms, beeped = _greeting(acts)
        if beeped:
            return "machine_end_beep", greeting_ms
        return "machine_end_silence", greeting_ms + SILENCE_AFTER_GREETING_MS
    match persona.answered_by:
        case "fax":
            return "fax", FAX_MS
        case "unknown":
            return "unknown", 1 << 40
        case _:
            return "human", HUMAN_MS


def _greeting(acts: list[Act]) -> tuple[int, bool]:
    """How long the machine talks, to the end of its beep if it has one."""
    elapsed_ms = 0
    for act in acts:
        match act:
            case Speak(ulaw, label):
                elapsed_ms += len(ulaw) * 1000 // RATE
                if label == "beep":
                    return elapsed_ms, True
            case Rest(ms):
                elapsed_ms += ms
            case RingOff():
                break
            case _:
                pass
    return elapsed_ms, False
