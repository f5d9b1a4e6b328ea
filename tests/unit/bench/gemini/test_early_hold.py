"""Agents that are held early, in virtual time; and that the measure would see what it says is not there."""

from __future__ import annotations

import numpy as np
import pytest

from bench.gemini import early_hold
from bench.gemini.early_hold import LEDGER_MS, compare, errors_ms, measure


def staircase(samples: int) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    steps = early_hold._LEVELS[np.arange(samples) // 80 % 32]
    return np.convolve(steps, np.ones(9) / 9, mode="same").astype(np.int16)  # as after a filter


def test_held_agents_fall_silent_far_sooner_and_no_word_is_lost_or_told_twice() -> None:
    found = compare(calls=4, seed=7)
    assert found["met"]
    assert found["interruptions"] + found["coughs"] > 15
    assert found["holds"]["in_vain"] > 0
    assert found["holds"]["confirmed"] > 0
    assert found["sooner"] > 6


def test_every_break_in_what_was_heard_is_measured() -> None:
    found = measure(3, 3, hold=True)
    assert len(found.ledger_ms) >= found.counts.confirmed
    assert max(found.ledger_ms) <= LEDGER_MS


@pytest.mark.parametrize("ms", [-100, -30, 30, 100])
def test_a_piece_that_is_heard_twice_or_never_shows(ms: int) -> None:
    whole = staircase(16_000)
    assert errors_ms(whole) == []
    at, shift = 8010, 8 * ms
    broken = np.concatenate([whole[:at], whole[at - shift :]])
    assert any(abs(error - ms) < 2 for error in errors_ms(broken))
