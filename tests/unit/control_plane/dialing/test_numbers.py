from __future__ import annotations

import pytest

from control_plane.domain.dialing.numbers import Kind, describe, region_of


@pytest.mark.parametrize(
    ("number", "region", "kind"),
    [
        ("+14155550100", "US", Kind.ORDINARY),
        ("+442079460000", "GB", Kind.ORDINARY),
        ("+4915112345678", "DE", Kind.ORDINARY),
        ("+18765550100", "JM", Kind.ORDINARY),  # +1 and ten digits, and still not the United States
        ("+18095550100", "DO", Kind.ORDINARY),
        ("+15551234567", "US", Kind.UNKNOWN),  # fictional, as in every example
        ("+15005550006", "US", Kind.ORDINARY),  # Twilio's own test numbers
        ("+19002345678", "US", Kind.PREMIUM),
        ("+449012345678", "GB", Kind.PREMIUM),
        ("+448712345678", "GB", Kind.PREMIUM),
        ("+33899123456", "FR", Kind.PREMIUM),
        ("+491805123456", "DE", Kind.SHARED_COST),
        ("+447012345678", "GB", Kind.PERSONAL),
        ("+870773111632", "001", Kind.ORDINARY),
        ("+881612345678", "001", Kind.ORDINARY),
        ("+49112", "DE", Kind.EMERGENCY),
        ("+44999", "GB", Kind.EMERGENCY),
        ("+33112", "FR", Kind.EMERGENCY),
        ("+1911", "US", Kind.EMERGENCY),
        ("+15551234", "US", Kind.IMPOSSIBLE),  # seven digits: a number for neighbours
        ("911", "", Kind.IMPOSSIBLE),
        ("", "", Kind.IMPOSSIBLE),
        ("+", "", Kind.IMPOSSIBLE),
        ("+9995551234567", "", Kind.IMPOSSIBLE),
    ],
)
def test_a_number_says_where_it_is_and_what_it_is(number: str, region: str, kind: Kind) -> None:
    callee = describe(number)
    assert (callee.region, callee.kind) == (region, kind)


@pytest.mark.parametrize(
    ("number", "zones"),
    [
        ("+14155550100", ("America/Los_Angeles",)),
        ("+12125550100", ("America/New_York",)),
        ("+442079460000", ("Europe/London",)),
        ("+4915112345678", ("Europe/Berlin",)),
    ],
)
def test_a_number_knows_its_time_zone(number: str, zones: tuple[str, ...]) -> None:
    assert describe(number).zones == zones


def test_a_number_that_may_be_in_several_zones_names_them_all() -> None:
    zones = describe("+18002345678").zones  # free of charge, anywhere in North America
    assert {"America/New_York", "America/Los_Angeles"} <= set(zones)


def test_the_country_of_a_calling_number_is_known_even_if_the_number_is_not() -> None:
    assert region_of("+15551234567") == "US"
    assert region_of("nonsense") == ""
