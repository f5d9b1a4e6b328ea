"""What a telephone number says about itself: its country, its kind, its time zones. No I/O.

By libphonenumber's metadata (package `phonenumbers`), which knows less than the network does: a range that
was opened last month is unknown to it, and fictional numbers always are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneNumberType, ValidationResult, timezone

GLOBAL_REGION = "001"  # libphonenumber's word for codes of no country
_NORTH_AMERICA = 1


class Kind(StrEnum):
    """What a number is, as far as it matters to whoever pays."""

    ORDINARY = "ordinary"
    UNKNOWN = "unknown"  # possible, but in no range that is known to be in use
    IMPOSSIBLE = "impossible"
    SHORT = "short"
    EMERGENCY = "emergency"
    PREMIUM = "premium"
    SHARED_COST = "shared_cost"
    PERSONAL = "personal"


# In North America, 5xx numbers of persons cost what others do, and Twilio's test numbers are among them.
_KINDS = {
    PhoneNumberType.PREMIUM_RATE: Kind.PREMIUM,
    PhoneNumberType.SHARED_COST: Kind.SHARED_COST,
    PhoneNumberType.PERSONAL_NUMBER: Kind.PERSONAL,
    PhoneNumberType.UNKNOWN: Kind.UNKNOWN,
}


@dataclass(frozen=True)
class Callee:
    """A number to call.

    Attributes:
        number: E.164.
        region: ISO 3166 code of its country; `001` for a global network, empty when no country has the code.
        zones: IANA names of the time zones where it may be; empty when nothing is known.
    """

    number: str
    region: str
    kind: Kind
    zones: tuple[str, ...]


@lru_cache(maxsize=4096)
def describe(number: str) -> Callee:
    """What there is to know of `number`, in E.164; anything else is IMPOSSIBLE."""
    try:
        parsed = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return Callee(number, "", Kind.IMPOSSIBLE, ())
    region = phonenumbers.region_code_for_number(parsed) or phonenumbers.region_code_for_country_code(
        parsed.country_code or 0
    )
    region = "" if region in (None, "ZZ") else region
    zones = timezone.time_zones_for_number(parsed)
    if zones == (timezone.UNKNOWN_TIMEZONE,):
        # By its prefix, although no such number is known: the country's zones, or the area's.
        zones = timezone.time_zones_for_geographical_number(parsed)
    known = () if zones == (timezone.UNKNOWN_TIMEZONE,) else tuple(zones)
    return Callee(number, region, _kind(parsed, region), known)


def region_of(number: str) -> str:
    """The country of a number, as of `Callee.region`."""
    return describe(number).region


def _kind(parsed: phonenumbers.PhoneNumber, region: str) -> Kind:
    national = phonenumbers.national_significant_number(parsed)
    # Written as `+49 112`, an emergency number passes for a very short one of its country.
    if phonenumbers.is_emergency_number(national, region):
        return Kind.EMERGENCY
    valid = phonenumbers.is_valid_number(parsed)
    if not valid and phonenumbers.is_valid_short_number(parsed):
        return Kind.SHORT
    if phonenumbers.is_possible_number_with_reason(parsed) != ValidationResult.IS_POSSIBLE:
        return Kind.IMPOSSIBLE
    kind = _KINDS.get(phonenumbers.number_type(parsed), Kind.ORDINARY)
    if kind is Kind.PERSONAL and parsed.country_code == _NORTH_AMERICA:
        return Kind.ORDINARY
    return kind
