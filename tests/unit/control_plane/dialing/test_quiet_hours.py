from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.domain.dialing.quiet_hours import QuietHours

NIGHT = QuietHours(time(21), time(8))
ZONES = (
    "America/New_York",
    "America/Los_Angeles",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Pacific/Auckland",
    "UTC",
)


def at(zone: str, text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(
    ("zone", "now", "until"),
    [
        ("Europe/Berlin", "2026-03-10T12:00", "2026-03-10T12:00"),
        ("Europe/Berlin", "2026-03-10T20:59", "2026-03-10T20:59"),
        ("Europe/Berlin", "2026-03-10T21:00", "2026-03-11T08:00"),
        ("Europe/Berlin", "2026-03-11T07:59", "2026-03-11T08:00"),
        ("Europe/Berlin", "2026-03-11T08:00", "2026-03-11T08:00"),
        ("Europe/Berlin", "2026-03-28T23:00", "2026-03-29T08:00"),  # the night that is an hour shorter
        ("Europe/Berlin", "2026-10-24T23:00", "2026-10-25T08:00"),  # and the one that is longer
    ],
)
def test_at_night_it_is_quiet_until_the_morning(zone: str, now: str, until: str) -> None:
    assert NIGHT.until(at(zone, now), [zone]) == at(zone, until)


def test_a_window_within_one_day_ends_on_that_day() -> None:
    lunch = QuietHours(time(12), time(13, 30))
    assert lunch.until(at("UTC", "2026-01-05T12:10"), ["UTC"]) == at("UTC", "2026-01-05T13:30")
    assert lunch.until(at("UTC", "2026-01-05T11:59"), ["UTC"]) == at("UTC", "2026-01-05T11:59")


def test_of_several_zones_the_strictest_counts() -> None:
    both = ["America/New_York", "America/Los_Angeles"]
    morning_in_the_east = at("America/New_York", "2026-01-05T09:00")
    assert NIGHT.until(morning_in_the_east, both) == at("America/Los_Angeles", "2026-01-05T08:00")
    evening_in_the_west = at("America/Los_Angeles", "2026-01-05T19:00")
    assert NIGHT.until(evening_in_the_west, both) == at("America/Los_Angeles", "2026-01-06T08:00")


def test_zones_all_around_the_world_leave_no_hour() -> None:
    assert NIGHT.until(at("UTC", "2026-01-05T12:00"), ["Etc/GMT+8", "UTC", "Etc/GMT-8"]) is None


def test_an_end_within_the_hour_that_comes_twice_is_the_second_one() -> None:
    hours = QuietHours(time(22), time(2, 30))
    zone = ZoneInfo("Europe/Berlin")
    again = datetime(2026, 10, 25, 2, 10, tzinfo=zone, fold=1)
    assert hours.until(again, ["Europe/Berlin"]) == datetime(
        2026, 10, 25, 2, 30, tzinfo=zone, fold=1
    ).astimezone(UTC)


@settings(deadline=None)  # zones are read from files
@given(
    start=st.integers(0, 1439),
    length=st.integers(1, 1439),
    minutes=st.integers(0, 2 * 366 * 1440),
    zones=st.lists(st.sampled_from(ZONES), min_size=1, max_size=3),
)
def test_when_a_call_may_be_made_no_zone_is_quiet_and_it_is_not_earlier(
    start: int, length: int, minutes: int, zones: list[str]
) -> None:
    end = (start + length) % 1440
    hours = QuietHours(time(start // 60, start % 60), time(end // 60, end % 60))
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)

    until = hours.until(now, zones)

    if until is None:
        assert len(set(zones)) > 1
        return
    assert until >= now
    assert not any(hours.covers(until.astimezone(ZoneInfo(zone)).time()) for zone in zones)


@pytest.mark.parametrize("text", ["21-8", "21:00", "24:00-08:00", "21:00-08:60", "08:00-08:00", "night"])
def test_hours_that_are_written_otherwise_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        QuietHours.parse(text)


def test_hours_are_read_and_written_in_the_same_form() -> None:
    assert QuietHours.parse("21:00-08:00") == NIGHT
    assert str(NIGHT) == "21:00-08:00"
    assert QuietHours.parse("") is None
