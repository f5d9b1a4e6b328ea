from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.domain.dialing.caps import Caps, Scope, Usage
from control_plane.domain.dialing.numbers import Callee, Kind, describe
from control_plane.domain.dialing.policy import Facts, Policy, Refusal, evaluate
from control_plane.domain.dialing.quiet_hours import QuietHours
from control_plane.domain.dialing.ranges import RANGES

NOON = datetime(2026, 1, 5, 20, tzinfo=UTC)  # noon in Los Angeles
US = Policy(countries=frozenset({"US"}))
WORLD = Policy(countries=frozenset({"*"}))


def rule(policy: Policy, number: str, facts: Facts = Facts(NOON)) -> str:
    found = evaluate(policy, describe(number), facts)
    return "" if found is None else found.rule


@pytest.mark.parametrize(
    ("number", "named"),
    [
        ("+14155550100", ""),
        ("+15551234567", ""),  # the example of every manual: unknown, but it costs nothing to ask
        ("+18002345678", ""),
        ("+442079460000", "country_not_allowed"),
        ("+14165550100", "country_not_allowed"),  # Canada
        ("+18762345678", "country_not_allowed"),  # Jamaica
        ("+19002345678", "premium_number"),
        ("+19001234567", "high_cost_number"),  # in the range, though no such number is assigned
        ("+12129765555", "high_cost_number"),
        ("+17124321234", "high_cost_number"),
        ("+8816123456789", "high_cost_number"),
        ("+882161234567", "high_cost_number"),
        ("+870773111632", "high_cost_number"),
        ("+979123456789", "high_cost_number"),
        ("+49112", "emergency_number"),
        ("+1911", "emergency_number"),
        ("+15551234", "invalid_number"),
        ("+99912345", "invalid_number"),
    ],
)
def test_an_american_account_calls_americans(number: str, named: str) -> None:
    assert rule(US, number) in (named, "premium_number" if named == "high_cost_number" else named)


@pytest.mark.parametrize(
    ("number", "named"),
    [
        ("+442079460000", ""),
        ("+81312345678", ""),
        ("+447012345678", "premium_number"),
        ("+449012345678", "premium_number"),
        ("+491805123456", "premium_number"),
        ("+5352123456", "high_cost_number"),  # Cuba
        ("+25261234567", "high_cost_number"),  # Somalia
        ("+18762345678", "high_cost_number"),
        ("+881612345678", "high_cost_number"),
    ],
)
def test_where_every_country_is_allowed_the_costly_ones_must_still_be_named(number: str, named: str) -> None:
    assert rule(WORLD, number) == named


def test_a_costly_country_that_is_named_is_called() -> None:
    assert rule(Policy(countries=frozenset({"*", "JM"})), "+18762345678") == ""


def test_an_allowed_prefix_lifts_tables_and_countries_for_its_range_alone() -> None:
    policy = replace(US, allowed_prefixes=("+8816", "+4479"))
    assert rule(policy, "+881612345678") == ""
    assert rule(policy, "+447912345678") == ""
    assert rule(policy, "+442079460000") == "country_not_allowed"
    assert rule(policy, "+881712345678") == "high_cost_number"


def test_a_denied_prefix_wins() -> None:
    policy = replace(US, denied_prefixes=("+1415",), allowed_prefixes=("+1415555",))
    assert rule(policy, "+14155550100") == "high_cost_number"


def test_unknown_numbers_are_refused_where_known_ones_are_asked_for() -> None:
    policy = replace(US, known_numbers_only=True)
    assert rule(policy, "+15551234567") == "invalid_number"
    assert rule(policy, "+14155550100") == ""


def test_the_kill_switch_says_why() -> None:
    found = evaluate(US, describe("+14155550100"), Facts(NOON, stopped="a key was stolen"))
    assert found == Refusal("kill_switch", "all dialing is stopped: a key was stolen", field="")


def test_nobody_is_called_who_asked_not_to_be() -> None:
    assert rule(US, "+14155550100", Facts(NOON, do_not_call=True)) == "do_not_call"


def test_at_night_the_refusal_says_when_it_is_morning() -> None:
    policy = replace(US, quiet_hours=QuietHours(time(21), time(8)))
    night = datetime(2026, 1, 6, 6, 30, tzinfo=UTC)  # 22:30 in California
    found = evaluate(policy, describe("+14155550100"), Facts(night))
    assert found is not None
    assert (found.rule, found.retry_after_s) == ("quiet_hours", 34_200)
    assert rule(policy, "+14155550100") == ""


def test_with_quiet_hours_a_number_without_a_time_zone_is_not_called() -> None:
    policy = Policy(quiet_hours=QuietHours(time(21), time(8)))
    nowhere = Callee("+14155550100", "US", Kind.ORDINARY, ())
    found = evaluate(policy, nowhere, Facts(NOON))
    assert found is not None
    assert found.rule == "quiet_hours"


def test_a_cap_names_whose_it_is_and_when_to_ask_again() -> None:
    policy = replace(US, caps={Scope.KEY: Caps(per_day=5), Scope.NUMBER: Caps(concurrent=1)})
    usage = {Scope.KEY: Usage(today=5), Scope.NUMBER: Usage(concurrent=1)}
    found = evaluate(policy, describe("+14155550100"), Facts(NOON, usage=usage))
    assert found == Refusal(
        "key_per_day", "the calls of this API key are limited to 5 a day", field="", retry_after_s=4 * 3600
    )


def test_every_range_is_digits_and_refuses_what_it_covers() -> None:
    for each in RANGES:
        number = "+" + each.digits.replace("x", "2").ljust(11, "2")
        assert each.covers(number)
        assert not each.covers(number[:3])
        assert set(each.digits) <= set("0123456789x")


@settings(deadline=None)  # a country's metadata is loaded when it is first met
@given(number=st.from_regex(r"\+[0-9]{1,15}", fullmatch=True) | st.text(max_size=20))
def test_whatever_the_number_there_is_an_answer_and_a_refusal_has_a_name_and_a_sentence(number: str) -> None:
    for policy in (US, WORLD, Policy()):
        found = evaluate(policy, describe(number), Facts(NOON))
        assert found is None or (found.rule.isidentifier() and found.sentence)


@settings(deadline=None)  # a country's metadata is loaded when it is first met
@given(number=st.from_regex(r"\+[1-9][0-9]{4,14}", fullmatch=True))
def test_what_one_country_allows_the_world_does_not_refuse_for_its_country(number: str) -> None:
    """Naming a country only ever adds numbers."""
    region = describe(number).region
    named = Policy(countries=frozenset({"*", region}))
    assert rule(named, number) in ("", rule(WORLD, number))


@settings(deadline=None)  # a country's metadata is loaded when it is first met
@given(number=st.from_regex(r"\+[1-9][0-9]{4,14}", fullmatch=True))
def test_no_number_outside_the_list_is_called(number: str) -> None:
    if rule(US, number) == "":
        assert describe(number).region == "US"
