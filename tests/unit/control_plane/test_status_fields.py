from __future__ import annotations

import pytest

from control_plane.entrypoints.twilio_webhooks import parse_status
from workflows.contracts import TwilioStatus


def test_a_final_callback_with_everything() -> None:
    told = parse_status(
        {
            "CallSid": "CA1",
            "CallStatus": "failed",
            "SequenceNumber": "2",
            "Timestamp": "Sun, 22 Nov 2026 18:00:00 +0000",
            "CallDuration": "0",
            "SipResponseCode": "503",
            "ErrorCode": "13224",
            "ErrorMessage": "invalid phone number",
        }
    )

    assert told == TwilioStatus(
        call_sid="CA1",
        status="failed",
        sequence=2,
        timestamp="Sun, 22 Nov 2026 18:00:00 +0000",
        duration_seconds=0,
        sip_code=503,
        error="13224 invalid phone number",
    )


def test_what_twilio_leaves_out_or_empty_is_not_known() -> None:
    told = parse_status({"CallSid": "CA1", "CallStatus": "in-progress", "CallDuration": "", "Unknown": "x"})

    assert told == TwilioStatus("CA1", "in-progress", 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CallSid", ""),
        ("CallStatus", "in_progress"),
        ("SequenceNumber", "one"),
        ("SequenceNumber", "+1"),
        ("SequenceNumber", " 1"),
        ("CallDuration", "1.5"),
        ("CallDuration", "١"),
        ("SipResponseCode", "9" * 10),
    ],
)
def test_a_field_that_is_wrong_is_named(name: str, value: str) -> None:
    fields = {"CallSid": "CA1", "CallStatus": "ringing"} | {name: value}

    with pytest.raises(ValueError, match=name):
        parse_status(fields)
