from __future__ import annotations

import pytest

from control_plane.domain.dialing.caps import Cap, Caps, Scope, Usage, breach

NOON_MS = 1_767_614_400_000  # 2026-01-05T12:00:00Z
HALF_A_DAY_MS = 12 * 3_600_000


def test_caps_are_read_from_one_line() -> None:
    assert Caps.parse("concurrent=2 per_minute=10 per_day=100 minutes_per_day=600") == Caps(2, 10, 100, 600)
    assert Caps.parse("per_day=5") == Caps(per_day=5)
    assert Caps.parse("") == Caps()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("concurrent", "concurrent must be a whole number"),
        ("concurrent=0", "concurrent must be a whole number"),
        ("per_day=-1", "per_day must be a whole number"),
        ("per_day=١", "per_day must be a whole number"),
        ("per_day=1e3", "per_day must be a whole number"),
        ("calls=3", "'calls' is none of concurrent"),
        ("per_day=1 per_day=2", "per_day is there twice"),
    ],
)
def test_a_line_that_makes_no_sense_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Caps.parse(text)


def breached(caps: Caps, usage: Usage, asked_s: int = 60) -> tuple[Cap, int | None] | None:
    found = breach(Scope.KEY, caps, usage, asked_s, NOON_MS)
    return None if found is None else (found.cap, found.retry_ms)


@pytest.mark.parametrize(
    ("caps", "fits", "full", "retry_ms"),
    [
        (Caps(concurrent=2), Usage(concurrent=1), Usage(concurrent=2), 10_000),
        (Caps(per_minute=2), Usage(last_minute=1), Usage(last_minute=2, oldest_ms=NOON_MS - 15_000), 45_000),
        (Caps(per_day=2), Usage(today=1), Usage(today=2), HALF_A_DAY_MS),
        (Caps(minutes_per_day=2), Usage(seconds_today=60), Usage(seconds_today=61), HALF_A_DAY_MS),
    ],
)
def test_the_last_place_is_given_and_the_one_after_it_is_not(
    caps: Caps, fits: Usage, full: Usage, retry_ms: int
) -> None:
    assert breached(caps, fits) is None
    found = breached(caps, full)
    assert found is not None
    assert found[1] == retry_ms


def test_a_call_longer_than_a_whole_day_allows_is_never_let_through() -> None:
    assert breached(Caps(minutes_per_day=1), Usage(), asked_s=61) == (Cap.MINUTES_PER_DAY, None)


def test_without_caps_anything_goes() -> None:
    assert breached(Caps(), Usage(10**6, 10**6, 1, 10**6, 10**9)) is None


def test_a_breach_names_its_rule() -> None:
    found = breach(Scope.NUMBER, Caps(per_day=1), Usage(today=1), 1, NOON_MS)
    assert found is not None
    assert found.rule == "number_per_day"
