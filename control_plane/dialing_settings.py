"""The settings of whom may be called, when, how much; `control_plane.settings` has the others."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from control_plane.domain.dialing.caps import Caps, Scope
from control_plane.domain.dialing.numbers import region_of
from control_plane.domain.dialing.policy import EVERYWHERE, Policy
from control_plane.domain.dialing.quiet_hours import QuietHours

_REGION = re.compile(r"[A-Z]{2}")
_PREFIX = re.compile(r"\+[1-9]\d{0,14}")


class DialingSettings(BaseSettings):
    """docs/dialing.md explains each. Lists are separated by commas."""

    model_config = SettingsConfigDict(frozen=True)

    twilio_phone_number: str = ""  # E.164, the number calls come from
    twilio_cps: float = Field(default=1.0, gt=0, le=1000)  # calls a second that Twilio places for the account

    dialing_countries: str = ""  # ISO 3166, "US,CA"; *: all; empty: that of TWILIO_PHONE_NUMBER
    dialing_numbers: Literal["possible", "known"] = "possible"
    dialing_deny_prefixes: str = ""  # E.164, "+1900,+4470"
    dialing_allow_prefixes: str = ""
    dialing_quiet_hours: str = ""  # "21:00-08:00" where the callee is; empty: none
    dialing_caps_account: str = "concurrent=1000"
    dialing_caps_key: str = "concurrent=100 per_minute=120 per_day=5000 minutes_per_day=10000"
    dialing_caps_number: str = "concurrent=1 per_minute=3 per_day=20 minutes_per_day=240"

    @field_validator("dialing_countries")
    @classmethod
    def _countries(cls, value: str) -> str:
        if any(each != EVERYWHERE and not _REGION.fullmatch(each) for each in _list(value)):
            raise ValueError("must be ISO 3166 codes of two capitals, like US,CA, or *")
        return value

    @field_validator("dialing_deny_prefixes", "dialing_allow_prefixes")
    @classmethod
    def _prefixes(cls, value: str) -> str:
        if not all(_PREFIX.fullmatch(each) for each in _list(value)):
            raise ValueError("must be beginnings of E.164 numbers, like +1900,+4470")
        return value

    @field_validator("dialing_quiet_hours")
    @classmethod
    def _quiet_hours(cls, value: str) -> str:
        QuietHours.parse(value)
        return value

    @field_validator("dialing_caps_account", "dialing_caps_key", "dialing_caps_number")
    @classmethod
    def _caps(cls, value: str) -> str:
        Caps.parse(value)
        return value

    @cached_property
    def dialing_policy(self) -> Policy:
        """The rules that these settings make."""
        own = region_of(self.twilio_phone_number) if self.twilio_phone_number else ""
        return Policy(
            countries=frozenset(_list(self.dialing_countries)) or frozenset(filter(None, (own,))),
            known_numbers_only=self.dialing_numbers == "known",
            denied_prefixes=_list(self.dialing_deny_prefixes),
            allowed_prefixes=_list(self.dialing_allow_prefixes),
            quiet_hours=QuietHours.parse(self.dialing_quiet_hours),
            caps={
                Scope.ACCOUNT: Caps.parse(self.dialing_caps_account),
                Scope.KEY: Caps.parse(self.dialing_caps_key),
                Scope.NUMBER: Caps.parse(self.dialing_caps_number),
            },
        )


def _list(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (each.strip() for each in text.split(","))))
