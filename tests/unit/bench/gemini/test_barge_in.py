"""Random barge-ins, in virtual time: nothing that was not played is called heard."""

from __future__ import annotations

from bench.gemini.barge_in import LEDGER_MS, measure, summary


def test_no_unheard_word_is_stored_and_the_ledger_is_right_to_20_ms() -> None:
    found = measure(barge_ins=200, seed=20_000)
    result = summary(found)
    assert result["barge_ins"] == 200
    assert result["unheard_words_in_text"] == 0
    assert max(found.ledger_ms) <= LEDGER_MS
    assert result["heard_words_kept"] > 0.75  # or it would be right by keeping nothing
    assert result["notes_to_the_model"] > 180


def test_the_same_seed_is_the_same_calls() -> None:
    assert summary(measure(20, seed=3)) == summary(measure(20, seed=3))
