"""What Twilio finds wrong with a request for a call."""

from __future__ import annotations

import pytest

from bench.sim.twilio.errors import ApiError
from bench.sim.twilio.request import Hook, parse_call_request

OWN = "+15005550006"
GOOD = {"To": "+15551234567", "From": OWN, "Url": "https://x.example/twiml"}


def test_the_least_that_is_needed_and_its_defaults() -> None:
    request = parse_call_request(GOOD, [], OWN)
    assert request.voice == Hook("https://x.example/twiml", "POST")
    assert (request.status_events, request.timeout_s, request.time_limit_s) == (("completed",), 60, 14_400)
    assert (request.detection, request.async_amd, request.record) == ("", False, False)


def test_everything_that_voiceplane_and_twilios_client_send() -> None:
    form = GOOD | {
        "Twiml": "<Response/>",
        "Method": "GET",
        "StatusCallback": "https://x.example/s",
        "Timeout": "30",
        "Record": "true",
        "RecordingChannels": "dual",
        "MachineDetection": "DetectMessageEnd",
        "AsyncAmd": "true",
        "AsyncAmdStatusCallback": "https://x.example/amd",
        "TimeLimit": "600",
        "Trim": "do-not-trim",
    }
    request = parse_call_request(form, ["initiated", "answered", "completed"], OWN)
    assert request.twiml == "", "ignored beside Url"
    assert request.voice.method == "GET"
    assert request.status_events == ("initiated", "answered", "completed")
    assert (request.detection, request.async_amd, request.record) == ("DetectMessageEnd", True, True)
    assert (request.timeout_s, request.time_limit_s) == (30, 600)


def test_events_may_share_one_field_and_digits_switch_detection_off() -> None:
    request = parse_call_request(
        GOOD | {"SendDigits": "1W2", "MachineDetection": "Enable"}, ["ringing answered"], OWN
    )
    assert request.status_events == ("ringing", "answered")
    assert (request.send_digits, request.detection) == ("1w2", "")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"To": ""}, 21201),
        ({"From": ""}, 21213),
        ({"To": "123"}, 21211),
        ({"To": "+123"}, 21211),
        ({"To": "+999123456789"}, 21211),
        ({"To": " 15551234567"}, 21211),
        ({"To": "+15005550001"}, 21217),
        ({"To": "+15005550002"}, 21214),
        ({"To": "+15005550003"}, 21215),
        ({"To": "+15005550004"}, 21216),
        ({"From": "me"}, 21212),
        ({"From": "+15005550001"}, 21212),
        ({"From": "+15551112222"}, 21210),
        ({"Url": ""}, 21205),
        ({"Url": "ftp://x/"}, 21205),
        ({"Url": "http://x:99999/"}, 21205),
        ({"ApplicationSid": "AP1"}, 21218),
        ({"StatusCallback": "nowhere"}, 21609),
        ({"StatusCallback": "https://my_host.example/"}, 21609),
        ({"Url": "", "Twiml": "x" * 4001}, 20001),
        ({"Method": "PUT"}, 20001),
        ({"Timeout": "soon"}, 20001),
        ({"MachineDetection": "Maybe"}, 20001),
        ({"SendDigits": "1" * 33}, 20001),
    ],
)
def test_each_mistake_has_twilios_number(change: dict[str, str], code: int) -> None:
    with pytest.raises(ApiError) as caught:
        parse_call_request(GOOD | change, [], OWN)
    assert caught.value.code == code
    assert caught.value.body()["more_info"] == f"https://www.twilio.com/docs/errors/{code}"
