"""Filters and pages of the list of calls."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from bench.sim.twilio.errors import ApiError
from bench.sim.twilio.listing import page
from bench.sim.twilio.resource import CallResource
from bench.sim.twilio.status import StatusSequence

NOON = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)


def resource(n: int) -> CallResource:
    """The nth call, started n hours after noon."""
    it = CallResource(
        f"CA{n}", "AC", f"+1555000000{n % 2}", "+15005550006", "outbound-api", StatusSequence(())
    )
    it.created = it.started = NOON + timedelta(hours=n)
    return it


CALLS = [resource(n) for n in range(5)]


def listed(query: dict[str, str]) -> list[str]:
    return [call["sid"] for call in page(CALLS, query, "AC")["calls"]]


def test_the_newest_call_comes_first() -> None:
    assert listed({}) == ["CA4", "CA3", "CA2", "CA1", "CA0"]


def test_filters_by_number_status_and_time() -> None:
    assert listed({"To": "+15550000001"}) == ["CA3", "CA1"]
    assert listed({"Status": "queued", "From": "+15005550006"}) == ["CA4", "CA3", "CA2", "CA1", "CA0"]
    assert listed({"Status": "completed"}) == []
    assert listed({"StartTime>": "2026-11-22T14:00:00Z"}) == ["CA4", "CA3", "CA2"]
    assert listed({"StartTime<": "2026-11-22T14:00:00Z"}) == ["CA1", "CA0"]
    assert listed({"StartTime": "2026-11-22"}) == ["CA4", "CA3", "CA2", "CA1", "CA0"]
    assert listed({"StartTime": "2026-11-21"}) == []
    assert listed({"EndTime>": "2026-11-01"}) == [], "none has ended"


def test_pages_follow_each_other_to_the_end() -> None:
    query, seen, uris = {"PageSize": "2", "To": ""}, [], []
    del query["To"]
    while True:
        it = page(CALLS, query, "AC")
        seen += [call["sid"] for call in it["calls"]]
        if it["next_page_uri"] is None:
            break
        uris.append(it["next_page_uri"])
        query = dict(parse_qsl(urlsplit(it["next_page_uri"]).query))
    assert seen == ["CA4", "CA3", "CA2", "CA1", "CA0"]
    assert len(uris) == 2
    assert it["previous_page_uri"] is not None


@pytest.mark.parametrize("query", [{"StartTime>": "yesterday"}, {"PageSize": "many"}])
def test_a_filter_that_makes_no_sense_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(ApiError):
        page(CALLS, query, "AC")
