"""When a stored agent greets."""

from __future__ import annotations

import pytest

from control_plane.domain.agents import greeting_mode
from workflows.contracts import Direction


def test_who_is_called_speaks_first_and_who_calls_is_greeted() -> None:
    assert greeting_mode("", Direction.OUTBOUND) == "after_hello"
    assert greeting_mode("", Direction.INBOUND) == "immediate"


@pytest.mark.parametrize("mode", ["immediate", "after_hello", "none"])
@pytest.mark.parametrize("direction", list(Direction))
def test_a_profile_that_says_when_is_obeyed_whoever_called(mode: str, direction: Direction) -> None:
    assert greeting_mode(mode, direction) == mode
