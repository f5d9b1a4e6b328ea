"""`GET /Calls.json`: filters and pages, as Twilio's client libraries ask for them.

A call that wasn't dialled yet has no start time; filters by start then go by its creation (Twilio's choice
is not documented).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from bench.sim.twilio.errors import ApiError
from bench.sim.twilio.resource import API_VERSION, CallResource

DEFAULT_PAGE = 50
MAX_PAGE = 1000


def page(calls: Sequence[CallResource], query: Mapping[str, str], account_sid: str) -> dict[str, Any]:
    """`calls`: all, oldest first. Returns the page's JSON, newest call first. Raises `ApiError`."""
    found = [call for call in reversed(calls) if _matches(call, query)]
    size = min(_integer(query, "PageSize", DEFAULT_PAGE), MAX_PAGE) or DEFAULT_PAGE
    number = _integer(query, "Page", 0)
    begin = number * size
    shown = found[begin : begin + size]
    path = f"/{API_VERSION}/Accounts/{account_sid}/Calls.json"

    def uri(of: int) -> str:
        kept = {name: value for name, value in query.items() if name not in ("Page", "PageSize", "PageToken")}
        token = {"PageToken": f"PA{shown[-1].sid}"} if of and shown else {}
        return f"{path}?{urlencode(kept | {'PageSize': size, 'Page': of} | token)}"

    return {
        "calls": [call.body() for call in shown],
        "first_page_uri": uri(0),
        "next_page_uri": uri(number + 1) if begin + size < len(found) else None,
        "previous_page_uri": uri(number - 1) if number else None,
        "uri": uri(number),
        "page": number,
        "page_size": size,
        "start": begin,
        "end": begin + max(0, len(shown) - 1),
    }


def _matches(call: CallResource, query: Mapping[str, str]) -> bool:
    equal = {
        "To": call.to,
        "From": call.from_,
        "Status": call.sequence.shown,
        "ParentCallSid": call.parent_call_sid or "",
    }
    if any(name in query and query[name] != value for name, value in equal.items()):
        return False
    started = call.started or call.created
    return _within(started, "StartTime", query) and _within(call.ended, "EndTime", query)


def _within(moment: datetime | None, name: str, query: Mapping[str, str]) -> bool:
    """`Name`: on this day. `Name<`: before. `Name>`: at or after. Twilio's resource shows whole seconds."""
    asked = {suffix: query[name + suffix] for suffix in ("", "<", ">") if query.get(name + suffix)}
    if not asked:
        return True
    if moment is None:
        return False
    moment = moment.replace(microsecond=0)
    for suffix, text in asked.items():
        bound = _moment(text, name + suffix)
        if suffix == "<" and moment >= bound:
            return False
        if suffix == ">" and moment < bound:
            return False
        if suffix == "" and not bound <= moment < bound + timedelta(days=1):
            return False
    return True


def _moment(text: str, name: str) -> datetime:
    """A day, or an ISO 8601 time in UTC (sub-seconds are dropped)."""
    try:
        if len(text) == 10:
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        moment = datetime.fromisoformat(text).replace(microsecond=0)
    except ValueError:
        raise ApiError(20001, f"{name}: {text!r} is neither a day nor an ISO 8601 time.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _integer(query: Mapping[str, str], name: str, default: int) -> int:
    value = query.get(name, str(default))
    if not value.isdecimal():
        raise ApiError(20001, f"{name}: {value!r} is no whole number.")
    return int(value)
