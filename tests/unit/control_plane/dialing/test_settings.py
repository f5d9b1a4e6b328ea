from __future__ import annotations

import pytest
from pydantic import ValidationError

from control_plane.domain.dialing.caps import Caps, Scope
from control_plane.domain.dialing.numbers import describe
from control_plane.domain.dialing.policy import Policy, check_number
from control_plane.settings import Settings


def policy(**values: object) -> Policy:
    return Settings(_env_file=None, **values).dialing_policy  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("own", "allowed"),
    [("+15005550006", {"US"}), ("+442079460000", {"GB"}), ("+14165550100", {"CA"}), ("", set())],
)
def test_without_a_list_the_account_calls_its_own_country(own: str, allowed: set[str]) -> None:
    assert policy(twilio_phone_number=own).countries == allowed


def test_a_list_replaces_the_accounts_own_country() -> None:
    found = policy(twilio_phone_number="+15005550006", dialing_countries="GB, DE")
    assert found.countries == {"GB", "DE"}


@pytest.mark.parametrize("number", ["+15551234567", "+15555550110", "+15005550001", "+14155550100"])
def test_what_manuals_and_simulators_call_is_called_with_the_defaults(number: str) -> None:
    assert check_number(policy(twilio_phone_number="+15005550006"), describe(number)) is None


def test_the_caps_of_the_defaults_stop_a_stolen_key_within_a_day() -> None:
    caps = policy().caps
    assert caps[Scope.KEY] == Caps(100, 120, 5000, 10_000)
    assert caps[Scope.NUMBER] == Caps(1, 3, 20, 240)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dialing_countries", "usa"),
        ("dialing_countries", "us"),
        ("dialing_numbers", "all"),
        ("dialing_deny_prefixes", "1900"),
        ("dialing_allow_prefixes", "+44 20"),
        ("dialing_quiet_hours", "21-8"),
        ("dialing_caps_key", "concurrent=none"),
        ("twilio_cps", "0"),
        ("twilio_cps", "nan"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=name):
        Settings(_env_file=None, **{name: value})  # type: ignore[arg-type]
