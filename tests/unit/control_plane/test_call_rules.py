from __future__ import annotations

import itertools

import pytest

from control_plane.domain import calls
from tests.support.control import new_workflow_id
from workflows.contracts import CallStatus


@pytest.mark.parametrize(
    "number",
    ["+15551234567", "+442079460000", "+4915112345678", "+390612345678", "+81312345678", "+61491570006"],
)
def test_a_canonical_e164_number_is_taken_as_it_is(number: str) -> None:
    assert calls.phone_number(number) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "15551234567",
        "0015551234567",
        "+1-555-123-4567",
        "+1 5551234567",
        " +15551234567",
        "+15551234567 ",
        "+15551234567\n",
        "＋15551234567",
        "+1555",
        "+1" + "5" * 40,
        "+" + "1" * 300,
        "+0123456789",
        "+15551234567;ext=1",
        "tel:+15551234567",
        "+1555CALLNOW",
        "sip:a@b",
        "\0",
    ],
)
def test_anything_else_is_no_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"must be|is not"):
        calls.phone_number(text)


def test_sizes_are_bytes_of_utf8() -> None:
    assert calls.greeting("é" * 2048)
    with pytest.raises(ValueError, match="4096 bytes of UTF-8, not 4098"):
        calls.greeting("é" * 2049)
    assert calls.system_prompt("x" * 32_768)
    with pytest.raises(ValueError, match="32768"):
        calls.system_prompt("x" * 32_769)


@pytest.mark.parametrize("text", ["", " ", "\n\t\u3000"])
def test_a_prompt_must_say_something_and_a_greeting_need_not(text: str) -> None:
    assert calls.greeting(text) == text
    with pytest.raises(ValueError, match="empty"):
        calls.system_prompt(text)


def test_text_must_be_storable() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        calls.greeting("\ud83d")
    with pytest.raises(ValueError, match=r"U\+0000"):
        calls.system_prompt("a\0b")


@pytest.mark.parametrize("seconds", [1, 1800, 14_400])
def test_durations_from_a_second_to_four_hours(seconds: int) -> None:
    assert calls.max_duration_seconds(seconds) == seconds


@pytest.mark.parametrize("seconds", [-1, 0, 14_401, 36_000])
def test_no_other_durations(seconds: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 14400"):
        calls.max_duration_seconds(seconds)


def test_workflow_ids_are_ours_or_they_are_not() -> None:
    ours = new_workflow_id()
    assert calls.is_workflow_id(ours)
    for other in (ours.upper(), ours[5:], ours + "0", ours + "\n", "call-", "", "call-" + "x" * 36):
        assert not calls.is_workflow_id(other)


def test_the_further_status_wins_and_final_ones_share_the_last_place() -> None:
    order = [CallStatus.INITIATED, CallStatus.RINGING, CallStatus.IN_PROGRESS, CallStatus.COMPLETED]
    for earlier, later in itertools.combinations(order, 2):
        assert calls.furthest(earlier, later) is later
        assert calls.furthest(later, earlier) is later
    for status in CallStatus:
        assert (calls.rank(status) == 3) is status.final
    assert calls.furthest(CallStatus.BUSY, CallStatus.COMPLETED) is CallStatus.BUSY


@pytest.mark.parametrize("mode", ["", "immediate", "after_hello", "none"])
def test_a_greeting_is_spoken_in_one_of_three_ways_or_as_usual(mode: str) -> None:
    assert calls.greeting_mode(mode) == mode


def test_there_is_no_fourth_way_to_greet() -> None:
    with pytest.raises(ValueError, match="after_hello"):
        calls.greeting_mode("later")
