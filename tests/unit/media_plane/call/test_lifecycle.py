from __future__ import annotations

import itertools

import pytest

from media_plane.call.lifecycle import TRANSITIONS, Event, State, advance


def test_a_prewarmed_call_is_ready_then_live_then_over() -> None:
    state = State.PREPARING
    for event in (Event.MODEL_READY, Event.STREAM_STARTED, Event.ENDED):
        state = advance(state, event)
    assert state is State.ENDED


def test_a_stream_may_start_before_the_model_is_ready() -> None:
    assert advance(advance(State.PREPARING, Event.STREAM_STARTED), Event.MODEL_READY) is State.LIVE


def test_every_state_but_the_last_can_end() -> None:
    assert {state for state, event in TRANSITIONS if event is Event.ENDED} == set(State) - {State.ENDED}


def test_what_the_table_does_not_hold_is_a_bug_that_names_state_and_event() -> None:
    for state, event in itertools.product(State, Event):
        if (state, event) not in TRANSITIONS:
            with pytest.raises(AssertionError, match=f"{event.name} in state {state.name}"):
                advance(state, event)
