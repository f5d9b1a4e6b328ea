"""The Call resource: what the REST API stores and shows of a call. Source: Twilio's Calls reference."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Literal

import phonenumbers

from bench.sim.twilio.status import StatusSequence

API_VERSION = "2010-04-01"
Direction = Literal["inbound", "outbound-api", "outbound-dial"]
_SUBRESOURCES = (
    ("events", "Events"),
    ("feedback", "Feedback"),
    ("notifications", "Notifications"),
    ("payments", "Payments"),
    ("recordings", "Recordings"),
    ("siprec", "Siprec"),
    ("streams", "Streams"),
    ("transcriptions", "Transcriptions"),
    ("user_defined_message_subscriptions", "UserDefinedMessageSubscriptions"),
    ("user_defined_messages", "UserDefinedMessages"),
)


def new_sid(prefix: str) -> str:
    """`prefix` (two letters) and 32 hexadecimal digits; not from the seed, since others store them."""
    return prefix + secrets.token_hex(16)


@dataclass
class CallResource:
    """One call's record; times are UTC."""

    sid: str
    account_sid: str
    to: str
    from_: str
    direction: Direction
    sequence: StatusSequence
    parent_call_sid: str | None = None
    queue_ms: int = 0
    answered_by: str | None = None
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated: datetime = field(default_factory=lambda: datetime.now(UTC))
    started: datetime | None = None  # when it was dialled
    answered: datetime | None = None
    ended: datetime | None = None

    @property
    def uri(self) -> str:
        return f"/{API_VERSION}/Accounts/{self.account_sid}/Calls/{self.sid}.json"

    @property
    def duration_s(self) -> int:
        """Seconds from the answer to the end; 0 for a call that wasn't answered."""
        if self.answered is None or self.ended is None:
            return 0
        return round((self.ended - self.answered).total_seconds())

    def body(self) -> dict[str, Any]:
        """The resource as JSON: scalars are strings or null."""
        over = self.sequence.over
        base = self.uri.removesuffix(".json")
        return {
            "sid": self.sid,
            "account_sid": self.account_sid,
            "to": self.to,
            "to_formatted": formatted(self.to),
            "from": self.from_,
            "from_formatted": formatted(self.from_),
            "phone_number_sid": None,
            "status": self.sequence.shown,
            "start_time": rfc2822(self.started),
            "end_time": rfc2822(self.ended),
            "duration": str(self.duration_s) if over else None,
            "price": None,
            "price_unit": "USD",
            "direction": self.direction,
            "answered_by": self.answered_by,
            "api_version": API_VERSION,
            "annotation": None,
            "forwarded_from": None,
            "group_sid": None,
            "caller_name": None,
            "queue_time": str(self.queue_ms),
            "trunk_sid": None,
            "parent_call_sid": self.parent_call_sid,
            "date_created": rfc2822(self.created),
            "date_updated": rfc2822(self.updated),
            "uri": self.uri,
            "subresource_uris": {name: f"{base}/{path}.json" for name, path in _SUBRESOURCES},
        }

    def webhook_fields(self) -> dict[str, str]:
        """The form fields every webhook of this call carries."""
        return {
            "CallSid": self.sid,
            "AccountSid": self.account_sid,
            "ApiVersion": API_VERSION,
            "CallStatus": self.sequence.status,
            "Direction": self.direction,
            **({"ParentCallSid": self.parent_call_sid} if self.parent_call_sid else {}),
            **_party(self.from_, "From", "Caller"),
            **_party(self.to, "To", "Called"),
        }


def _party(number: str, *names: str) -> dict[str, str]:
    """Twilio sends empty strings for what it doesn't know of a number."""
    fields = {}
    for name in names:
        fields[name] = number
        fields |= {f"{name}{place}": "" for place in ("City", "State", "Zip")}
        fields[f"{name}Country"] = _country(number)
    return fields


def _country(number: str) -> str:
    try:
        parsed = phonenumbers.parse(number)
        region = phonenumbers.region_code_for_number(parsed)  # none for fictional numbers
        return region or phonenumbers.region_code_for_country_code(parsed.country_code or 0)
    except phonenumbers.NumberParseException:
        return ""


def formatted(number: str) -> str:
    """North American numbers as `(617) 555-1212`, others in E.164."""
    if number.startswith("+1") and len(number) == 12:
        return f"({number[2:5]}) {number[5:8]}-{number[8:]}"
    return number


def rfc2822(moment: datetime | None) -> str | None:
    """`Sun, 22 Nov 2026 18:30:00 +0000`."""
    return None if moment is None else format_datetime(moment)
