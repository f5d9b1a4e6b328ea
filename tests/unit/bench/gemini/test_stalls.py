"""Silent models in virtual time: every stall is noticed and ends, and healthy models are left alone."""

from __future__ import annotations

from itertools import count

import pytest

from bench.gemini.stalls import HEALTHY, USUAL, Cell, play, row
from media_plane.call.stall import Cause

CAUSES = (Cause.NO_REPLY, Cause.EMPTY_TURN, Cause.PHANTOM, Cause.BROKE_OFF, Cause.TOOL)


@pytest.mark.parametrize("cause", CAUSES)
def test_every_stall_is_noticed_and_ends(cause: Cause) -> None:
    cell = Cell(cause.value, 0.5)
    play(cell, cause, USUAL, 12, count(100), warm_up=0)
    found = row(cell)
    assert cell.turns == 12
    assert cell.stalls >= 3
    assert cell.never == 0
    assert len(cell.detected_ms) == cell.stalls
    assert min(cell.detected_ms) > 0
    assert 0 < found["detected_p95_ms"] < 6000
    assert sum(cell.recovered.values()) == cell.stalls


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_models_are_left_alone(name: str) -> None:
    cell = Cell(name, 0.0)
    play(cell, None, HEALTHY[name], 24, count(500), warm_up=0)
    assert (cell.turns, cell.stalls, cell.never) == (24, 0, 0)
    assert cell.false_alarms <= 1


def test_the_same_seed_is_the_same_calls() -> None:
    rows = []
    for _ in range(2):
        cell = Cell("phantom_interrupted", 0.5)
        play(cell, Cause.PHANTOM, USUAL, 6, count(7), warm_up=0)
        rows.append(row(cell))
    assert rows[0] == rows[1]
