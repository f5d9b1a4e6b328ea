"""What `POST /Calls.json` asks for, checked as Twilio checks it.

Twilio's documented test numbers work: To +15005550001 (21217), 0002 (21214), 0003 (21215), 0004 (21216);
From +15005550001 (21212). Any error can also be armed over the admin port (`api_error`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import urlsplit

import phonenumbers

from bench.sim.twilio.errors import ApiError
from bench.sim.twilio.twiml import Method

Event = Literal["initiated", "ringing", "answered", "completed"]
Detection = Literal["", "Enable", "DetectMessageEnd"]
_TO_TEST_NUMBERS = {
    "+15005550001": 21217,
    "+15005550002": 21214,
    "+15005550003": 21215,
    "+15005550004": 21216,
}
_E164 = re.compile(r"\+[1-9]\d{6,14}")
MAX_TWIML = 4000


@dataclass(frozen=True)
class Hook:
    """A webhook: where, and by which method. An empty URL is none."""

    url: str = ""
    method: Method = "POST"


@dataclass(frozen=True)
class CallRequest:
    """A checked request for an outbound call."""

    to: str
    from_: str
    voice: Hook
    twiml: str
    fallback: Hook
    status: Hook
    status_events: tuple[Event, ...]
    timeout_s: int
    time_limit_s: int
    send_digits: str
    record: bool
    recording_channels: Literal["mono", "dual"]
    recording: Hook
    detection: Detection
    detection_timeout_s: int
    async_amd: bool
    async_amd_hook: Hook


def parse_call_request(form: Mapping[str, str], events: list[str], own_number: str) -> CallRequest:
    """`events`: every `StatusCallbackEvent`. `own_number`: the account's, E.164. Raises `ApiError`."""
    to, from_ = form.get("To", ""), form.get("From", "")
    if not to:
        raise ApiError(21201)
    if not from_:
        raise ApiError(21213)
    if not valid_number(to):
        raise ApiError(21211, f"The phone number you are attempting to call, {to}, is not valid.")
    if to in _TO_TEST_NUMBERS:
        raise ApiError(_TO_TEST_NUMBERS[to])
    if not valid_number(from_) or from_ == "+15005550001":
        raise ApiError(21212, f"The phone number provided as 'From', {from_}, is not valid.")
    if from_ != own_number:
        raise ApiError(
            21210, f"The source phone number provided, {from_}, is not yet verified for your account."
        )
    if form.get("ApplicationSid"):
        raise ApiError(21218, "ApplicationSid: this account has no applications.")
    voice, twiml = _hook(form, "Url", "Method", 21205), form.get("Twiml", "")
    if not voice.url and not twiml:
        raise ApiError(21205, "Url parameter is required.")
    if len(twiml) > MAX_TWIML:
        raise ApiError(20001, f"Twiml: more than {MAX_TWIML} characters.")
    status = _hook(form, "StatusCallback", "StatusCallbackMethod", 21609)
    if "_" in (urlsplit(status.url).hostname or ""):
        raise ApiError(21609, "StatusCallback: its host name contains an underscore.")
    return CallRequest(
        to,
        from_,
        voice,
        "" if voice.url else twiml,  # Twilio ignores Twiml beside Url
        _hook(form, "FallbackUrl", "FallbackMethod", 21205),
        status,
        _events(events),
        _integer(form, "Timeout", 60, 1, 600),
        _integer(form, "TimeLimit", 14_400, 1, 86_400),
        _digits(form.get("SendDigits", "")),
        form.get("Record", "false").lower() == "true",
        "dual" if form.get("RecordingChannels") == "dual" else "mono",
        _hook(form, "RecordingStatusCallback", "RecordingStatusCallbackMethod", 21609),
        _detection(form),
        _integer(form, "MachineDetectionTimeout", 30, 3, 60),
        form.get("AsyncAmd", "false").lower() == "true",
        _hook(form, "AsyncAmdStatusCallback", "AsyncAmdStatusCallbackMethod", 21609),
    )


def valid_number(number: str) -> bool:
    """E.164, of a country that exists and of a length that country uses; fictional numbers pass."""
    if not _E164.fullmatch(number):
        return False
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return False


def valid_url(url: str) -> bool:
    """An http or https address with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _hook(form: Mapping[str, str], url_field: str, method_field: str, code: int) -> Hook:
    url, method = form.get(url_field, ""), form.get(method_field, "POST").upper()
    if url and not valid_url(url):
        raise ApiError(code, f"{url_field} is not a valid URL: {url}")
    if method not in ("GET", "POST"):
        raise ApiError(20001, f"{method_field}: {method} is neither GET nor POST.")
    return Hook(url, "GET" if method == "GET" else "POST")


def _events(names: list[str]) -> tuple[Event, ...]:
    asked = {name for value in names for name in value.split()}
    return tuple(event for event in get_args(Event) if event in asked) or ("completed",)


def _detection(form: Mapping[str, str]) -> Detection:
    value = form.get("MachineDetection", "")
    if value not in get_args(Detection):
        raise ApiError(20001, f"MachineDetection: {value} is neither Enable nor DetectMessageEnd.")
    if form.get("SendDigits"):
        return ""  # Twilio ignores detection beside SendDigits
    return value  # type: ignore[return-value]


def _digits(value: str) -> str:
    if len(value) > 32 or not set(value) <= set("0123456789*#ABCDwW"):
        raise ApiError(20001, "SendDigits: up to 32 of 0-9, *, #, A-D and w.")
    return value.replace("W", "w")


def _integer(form: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    value = form.get(name, str(default))
    if not value.isdecimal() or int(value) < least:
        raise ApiError(20001, f"{name}: {value} is no whole number of at least {least}.")
    return min(int(value), most)
