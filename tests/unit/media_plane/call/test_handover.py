"""From where on the next session hears the caller, and which words it is told."""

from __future__ import annotations

import pytest

from media_plane.call.handover import History, Seam, turns
from media_plane.wire.events import Speaker, TranscriptSegment
from media_plane.wire.gemini_history import Said

S = 1_000_000_000
NOW = 100 * S
KEPT = 65536


def seam(**changes: int | bool) -> Seam:
    """100 s of caller audio, the old session gone for half a second; the handle is five seconds old."""
    given: dict[str, int | bool] = {
        "now_ns": NOW,
        "samples": 800_000,
        "kept": KEPT,
        "taken": 796_000,
        "handle_ns": 95 * S,
        "handle_at": 760_000,
        **changes,
    }
    return Seam(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({}, 796_000),  # nobody spoke: what the old session had no chance to hear
        ({"unanswered_ns": 97 * S}, 773_600),  # the caller's words, and 0.3 s before them
        ({"unanswered_ns": 95 * S}, 760_000),  # as far as the handle does not remember them
        ({"unanswered_ns": 90 * S}, 760_000),
        ({"exact": True}, 760_000),  # the service said so
        ({"exact": True, "unanswered_ns": 97 * S}, 760_000),
        ({"answered_ns": 98 * S}, 796_000),  # answered since: words tell it
        ({"answered_ns": 98 * S, "exact": True}, 796_000),
        ({"answered_ns": 98 * S, "unanswered_ns": 99 * S}, 789_600),  # spoken over the answer
        ({"answered_ns": 98 * S, "unanswered_ns": 98 * S}, 784_000),
        ({"answered_ns": 90 * S, "unanswered_ns": 97 * S}, 773_600),  # answered long ago
        ({"handle_ns": 0, "unanswered_ns": 97 * S}, 773_600),
        ({"handle_ns": 0, "handle_at": 0}, 796_000),
    ],
)
def test_where_the_replay_begins(changes: dict[str, int | bool], at: int) -> None:
    assert seam(**changes).wanted == at
    assert seam(**changes).replay_from == at


def test_what_is_no_longer_kept_can_t_be_replayed() -> None:
    found = seam(handle_ns=0, unanswered_ns=80 * S)
    assert (found.wanted, found.replay_from) == (637_600, 800_000 - KEPT)


def test_a_call_that_has_just_begun_is_replayed_from_its_beginning() -> None:
    found = seam(samples=4000, taken=0, handle_ns=0, unanswered_ns=NOW - S // 2)
    assert (found.wanted, found.replay_from) == (0, 0)


def segment(number: int, speaker: Speaker, text: str, start_ms: int) -> TranscriptSegment:
    return TranscriptSegment(number, speaker, text, start_ms, start_ms + 500, False)


def test_history_is_told_in_the_order_in_which_it_was_said_and_only_what_is_new() -> None:
    history = History()
    history.add(segment(2, Speaker.AGENT, "Hello.", 2000))
    history.add(segment(1, Speaker.CALLER, "Hi.", 1000))
    history.add(segment(3, Speaker.CALLER, "", 3000))
    assert history.since(-1) == [Said(False, "Hi."), Said(True, "Hello.")]
    assert history.since(1000) == [Said(True, "Hello.")]


def test_history_keeps_the_newest_when_it_is_long() -> None:
    history = History()
    for number in range(100):
        history.add(segment(number, Speaker.CALLER, f"{number:1000}", number * 1000))
    told = history.since(-1)
    assert len(told) == 24
    assert told[-1].text.strip() == "99"


def test_what_one_speaker_said_in_a_row_is_one_turn() -> None:
    said = [Said(False, "a"), Said(False, "b"), Said(True, "c"), Said(True, ""), Said(False, "d")]
    assert turns(said) == [Said(False, "a b"), Said(True, "c"), Said(False, "d")]
