"""When a call that the agent wants to end is over."""

from __future__ import annotations

from media_plane.call.farewell import SETTLE_NS, WORDS_WAIT_NS, Farewell

S = 1_000_000_000


def due(
    farewell: Farewell, at: float, *, left: float = 0, generating: bool = False, samples: int = 0
) -> bool:
    return farewell.due(int(at * S), generating=generating, left_ns=int(left * S), samples=samples)


def asked(*, said: bool) -> Farewell:
    farewell = Farewell()
    farewell.ask(10 * S, said=said)
    return farewell


def test_nothing_is_due_before_it_is_asked_for() -> None:
    assert not due(Farewell(), 1000)


def test_a_goodbye_said_already_is_heard_out_first() -> None:
    farewell = asked(said=True)
    assert not due(farewell, 10.1, left=1.2)
    assert not due(farewell, 11.3)
    assert not due(farewell, 11.3 + SETTLE_NS / S - 0.01)
    assert due(farewell, 11.3 + SETTLE_NS / S)


def test_a_turn_that_still_comes_is_waited_for() -> None:
    farewell = asked(said=True)
    assert not due(farewell, 12, generating=True, samples=100)
    assert not due(farewell, 12.5, samples=100)
    assert due(farewell, 12.9, samples=100)


def test_a_goodbye_not_said_yet_is_waited_for() -> None:
    farewell = asked(said=False)
    assert not due(farewell, 10.1, samples=800)
    assert not due(farewell, 13, samples=1600, left=0.5, generating=True)
    assert not due(farewell, 14, samples=1600)
    assert due(farewell, 14.4, samples=1600)


def test_an_agent_without_a_word_does_not_hold_the_line() -> None:
    farewell = asked(said=False)
    assert not due(farewell, 10 + WORDS_WAIT_NS / S - 0.1)
    assert due(farewell, 10 + WORDS_WAIT_NS / S)


def test_a_turn_whose_end_is_never_told_does_not_hold_the_line() -> None:
    farewell = asked(said=True)
    assert not due(farewell, 12, generating=True, samples=800)
    assert not due(farewell, 15, generating=True, samples=800)
    assert due(farewell, 15.4, generating=True, samples=800)


def test_a_caller_who_speaks_over_the_goodbye_calls_off_the_end() -> None:
    farewell = asked(said=True)
    assert farewell.interrupted()
    assert not due(farewell, 1000)
    assert not farewell.interrupted()
