"""Which settings for stalls an agent may have."""

from __future__ import annotations

import pytest

from protos.gemini.check import Service, violations
from protos.voiceplane.agents.v1.agents_pb2 import AgentSettings, StallSettings


def fields(**stalls: object) -> set[str]:
    settings = AgentSettings(stalls=StallSettings(**stalls))  # type: ignore[arg-type]
    return set(violations(settings, Service()))


@pytest.mark.parametrize(
    "stalls",
    [
        {},
        {"watch": False},
        {"wait_min_ms": 500, "wait_max_ms": 500, "then": StallSettings.END_CALL},
        {"wait_min_ms": 60_000},
    ],
)
def test_waits_may_be_set_within_bounds(stalls: dict[str, object]) -> None:
    assert not fields(**stalls)


def test_what_is_out_of_bounds_is_named() -> None:
    assert fields(wait_min_ms=499, wait_max_ms=60_001) == {"stalls.wait_min_ms", "stalls.wait_max_ms"}
    assert fields(wait_min_ms=3000, wait_max_ms=2000) == {"stalls.wait_max_ms"}
    assert fields(then=7) == {"stalls.then"}
