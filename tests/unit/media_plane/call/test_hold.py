"""When an agent is held, when it goes on, and when nothing of the kind is tried."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from media_plane.call.hold import Hold, HoldCounts, HoldKnobs, Move

MS = 1_000_000
LEFT = 4000 * MS


@dataclass
class Speech:
    """What is known of a caller's voice."""

    speaking: bool = False
    started_ns: int = 0
    stopped_ns: int = 0
    since_ns: int = 0

    def heard_out(self, until_ns: int) -> None:
        pass

    def heard(self, from_ns: int, to_ns: int) -> None:
        """Audible between the two, and not known yet to have ended."""
        self.speaking, self.started_ns, self.stopped_ns = True, from_ns, to_ns


def scene(after_ms: int = 100, timeout_ms: int = 800) -> tuple[Hold, Speech, HoldCounts]:
    """The agent has begun to speak at 1 s."""
    speech, counts = Speech(), HoldCounts()
    hold = Hold(HoldKnobs(after_ms * MS, timeout_ms * MS), speech, counts)
    assert hold.step(1000 * MS, 0) is Move.STAY
    return hold, speech, counts


def held(*, at_ms: int = 2000) -> tuple[Hold, Speech, HoldCounts]:
    hold, speech, counts = scene()
    speech.heard((at_ms - 100) * MS, at_ms * MS)
    assert hold.step(at_ms * MS, LEFT) is Move.HOLD
    hold.held(at_ms * MS)
    return hold, speech, counts


def test_the_agent_is_held_when_the_caller_has_been_audible_for_a_while() -> None:
    hold, speech, _ = scene(after_ms=100)
    speech.heard(2000 * MS, 2080 * MS)
    assert hold.step(2080 * MS, LEFT) is Move.STAY
    speech.heard(2000 * MS, 2100 * MS)
    assert hold.step(2100 * MS, LEFT) is Move.HOLD


def test_a_noise_that_has_ended_by_then_is_no_reason() -> None:
    hold, speech, _ = scene(after_ms=100)
    speech.heard(2000 * MS, 2060 * MS)
    assert hold.step(2100 * MS, LEFT) is Move.STAY  # it may yet go on
    speech.speaking = False
    assert hold.step(2500 * MS, LEFT) is Move.STAY


@pytest.mark.parametrize("left_ms", [0, 200])
def test_an_agent_that_has_nearly_finished_is_not_held(left_ms: int) -> None:
    hold, speech, _ = scene()
    speech.heard(2000 * MS, 2200 * MS)
    assert hold.step(2200 * MS, left_ms * MS) is Move.STAY


def test_whom_the_agent_spoke_over_does_not_hold_it() -> None:
    hold, speech, _ = scene()
    speech.heard(1000 * MS, 1500 * MS)
    assert hold.step(1500 * MS, 0) is Move.STAY
    assert hold.step(1600 * MS, LEFT) is Move.STAY


def test_it_goes_on_when_nothing_confirms_and_the_caller_is_silent_again() -> None:
    hold, speech, counts = held(at_ms=2000)
    assert hold.step(2790 * MS, 0) is Move.STAY
    assert hold.step(2900 * MS, 0) is Move.STAY  # still audible
    speech.speaking = False
    assert hold.step(2920 * MS, 0) is Move.GO_ON
    hold.gone_on(2920 * MS)
    assert counts == HoldCounts(held=1, in_vain=1, held_ns=920 * MS)


def test_a_short_noise_holds_it_for_the_timeout() -> None:
    hold, speech, _ = held(at_ms=2000)
    speech.speaking = False
    assert hold.step(2799 * MS, 0) is Move.STAY
    assert hold.step(2800 * MS, 0) is Move.GO_ON


def test_it_goes_on_at_last_however_loud_the_line_is() -> None:
    hold, _, _ = held(at_ms=2000)
    assert hold.step(4999 * MS, 0) is Move.STAY
    assert hold.step(5000 * MS, 0) is Move.GO_ON


def test_the_same_speech_does_not_hold_it_twice() -> None:
    hold, speech, _ = held(at_ms=2000)
    hold.gone_on(5000 * MS)
    assert hold.step(5100 * MS, LEFT) is Move.STAY
    speech.heard(5200 * MS, 5300 * MS)
    assert hold.step(5300 * MS, LEFT) is Move.HOLD


def test_what_the_model_confirms_is_over() -> None:
    hold, _, counts = held(at_ms=2000)
    assert hold.interrupted(2500 * MS)
    assert not hold.since_ns
    assert counts == HoldCounts(held=1, confirmed=1, held_ns=500 * MS)
    assert not hold.interrupted(2600 * MS)
    assert counts.confirmed == 1


def test_who_is_held_in_vain_again_and_again_is_not_held_any_more() -> None:
    hold, speech, counts = scene()
    for at_s in (2, 4, 6):
        speech.heard(at_s * 1000 * MS, (at_s * 1000 + 100) * MS)
        assert hold.step((at_s * 1000 + 100) * MS, LEFT) is Move.HOLD
        hold.held((at_s * 1000 + 100) * MS)
        hold.gone_on((at_s * 1000 + 1000) * MS)
    speech.heard(8000 * MS, 8100 * MS)
    assert hold.step(8100 * MS, LEFT) is Move.STAY
    assert counts.given_up == 1
    hold.interrupted(8500 * MS)  # a real one: the line is worth listening to
    speech.heard(9000 * MS, 9100 * MS)
    assert hold.step(9100 * MS, LEFT) is Move.HOLD


def test_what_could_not_be_held_is_not_asked_for_at_every_frame() -> None:
    hold, speech, counts = scene()
    speech.heard(2000 * MS, 2100 * MS)
    assert hold.step(2100 * MS, LEFT) is Move.HOLD
    hold.refused(2100 * MS)
    assert hold.step(2120 * MS, LEFT) is Move.STAY
    assert counts == HoldCounts(impossible=1)
