"""Twilio's messages against the golden files, and the fast road against the full parse."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_plane.errors import PeerError
from media_plane.wire import twilio
from tests.support.shapes import find

GOLDEN = Path(__file__).parents[4] / "protos" / "golden" / "twilio"
SID = "MZ00112233445566778899aabbccddeeff"
CALL = "CAfedcba9876543210fedcba9876543210"
ACCOUNT = "AC0123456789abcdef0123456789abcdef"


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("connected", twilio.Connected()),
        ("start", twilio.Start(SID, CALL, ACCOUNT, {"call_id": "abc"})),
        ("start_no_parameters", twilio.Start(SID, CALL, ACCOUNT, {})),
        ("dtmf", twilio.Dtmf(SID, "5")),
        ("mark", twilio.Mark(SID, "utt-7")),
        ("stop", twilio.Stop(SID)),
    ],
)
def test_every_golden_message_parses(name: str, expected: twilio.Message) -> None:
    assert twilio.parse(golden(f"from_twilio_{name}")) == expected


@pytest.mark.parametrize(("name", "ulaw"), [("media", bytes(range(160))), ("media_silence", b"\xff" * 160)])
def test_golden_media_takes_the_fast_road_to_the_same_payload(name: str, ulaw: bytes) -> None:
    data = golden(f"from_twilio_{name}")
    parsed = twilio.parse(data)
    assert isinstance(parsed, twilio.Media)
    assert base64.b64decode(parsed.payload) == ulaw
    place = find(twilio.media_shape(SID), data)
    assert place is not None
    assert data[slice(*place)] == parsed.payload.encode()


def test_what_we_write_is_the_golden_messages() -> None:
    payload = base64.b64encode(bytes(range(0x60, 0x100)))
    assert twilio.media_head(SID) + payload + twilio.MEDIA_TAIL == golden("to_twilio_media")
    assert twilio.mark(SID, "utt-7") == golden("to_twilio_mark")
    assert twilio.clear(SID) == golden("to_twilio_clear")


def test_an_event_of_a_later_protocol_is_passed_over() -> None:
    assert twilio.parse(b'{"event":"weather"}') == twilio.Unknown("weather")


def test_outbound_media_is_none_of_ours() -> None:
    message = json.loads(golden("from_twilio_media"))
    message["media"]["track"] = "outbound"
    assert isinstance(twilio.parse(json.dumps(message).encode()), twilio.Unknown)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "message is not JSON"),
        (b"\xff\xfe{}", "message is not JSON"),
        (b"[" * 100_000, "message is not JSON"),
        (b"[]", "message is not a JSON object"),
        (b'"media"', "message is not a JSON object"),
        (b"{}", "event is missing or not a string"),
        (b'{"event":7}', "event is missing or not a string"),
        (b'{"event":"media"}', "media is missing or not an object"),
        (b'{"event":"media","media":{}}', "media.payload is missing or not a string"),
        (b'{"event":"media","media":{"payload":"/w=="}}', "streamSid is missing or not a string"),
        (b'{"event":"stop","streamSid":"MZ\\u0022}"}', "streamSid is not an identifier"),
        (b'{"event":"dtmf","streamSid":"MZ1","dtmf":{"digit":"55"}}', "dtmf.digit is not one of"),
        (b'{"event":"dtmf","streamSid":"MZ1","dtmf":{"digit":""}}', "dtmf.digit is not one of"),
        (b'{"event":"start","streamSid":"MZ1","start":{}}', "start.mediaFormat is missing"),
    ],
)
def test_nonsense_is_refused_with_the_field_s_name(data: bytes, reason: str) -> None:
    with pytest.raises(PeerError, match=reason.replace(".", r"\.")):
        twilio.parse(data)


@pytest.mark.parametrize("change", [{"sampleRate": 16000}, {"encoding": "audio/pcm"}, {"channels": 2}])
def test_a_stream_in_another_format_is_refused(change: dict[str, Any]) -> None:
    message = json.loads(golden("from_twilio_start"))
    message["start"]["mediaFormat"].update(change)
    with pytest.raises(PeerError, match=r"start\.mediaFormat is not audio/x-mulaw"):
        twilio.parse(json.dumps(message).encode())


def fast(data: bytes, sid: str = SID) -> bytes | None:
    """The payload by the fast road, under the decoder's condition; None when it declines."""
    place = find(twilio.media_shape(sid), data)
    if place is None:
        return None
    payload = data[slice(*place)]
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_="
    return payload if all(byte in alphabet for byte in payload) else None


def agree(data: bytes) -> bool:
    """Where the fast road answers, the full parse answers the same; True if it answered."""
    found = fast(data)
    if found is not None:
        assert twilio.parse(data) == twilio.Media(SID, found.decode())
    return found is not None


numbers = st.integers(0, 10**20).map(str) | st.sampled_from(["", "-1", "1.5", "०"])
texts = st.text(max_size=20) | st.sampled_from([SID, "inbound", "media", 'a"b', "\\", "AAAA", '"}}'])
payloads = st.binary(max_size=200).map(lambda raw: base64.b64encode(raw).decode()) | texts
fields = {
    "event": st.just("media") | texts,
    "sequenceNumber": numbers,
    "streamSid": st.just(SID) | texts,
    "media": st.fixed_dictionaries(
        {"track": st.just("inbound") | texts, "chunk": numbers, "timestamp": numbers, "payload": payloads}
    ),
}


@given(
    message=st.fixed_dictionaries(fields),
    indent=st.sampled_from([None, 2]),
    separators=st.sampled_from([(",", ":"), (", ", ": ")]),
    shuffle=st.randoms(),
    ascii_only=st.booleans(),
)
def test_any_media_message_means_the_same_on_both_roads(
    message: dict[str, Any], indent: int | None, separators: tuple[str, str], shuffle: Any, ascii_only: bool
) -> None:
    data = json.dumps(message, indent=indent, separators=separators, ensure_ascii=ascii_only)
    agree(data.encode("utf-8", "surrogatepass"))
    items = list(message.items())
    shuffle.shuffle(items)
    agree(json.dumps(dict(items), separators=separators).encode())


@given(ulaw=st.binary(max_size=400), sequence=st.integers(0, 10**18), chunk=st.integers(0, 10**15))
def test_twilio_s_own_media_messages_always_take_the_fast_road(
    ulaw: bytes, sequence: int, chunk: int
) -> None:
    message = {
        "event": "media",
        "sequenceNumber": str(sequence),
        "streamSid": SID,
        "media": {
            "track": "inbound",
            "chunk": str(chunk),
            "timestamp": str(chunk * 20),
            "payload": base64.b64encode(ulaw).decode(),
        },
    }
    assert agree(json.dumps(message, separators=(",", ":")).encode())


@given(at=st.integers(0, 500), byte=st.integers(0, 255), insert=st.booleans())
def test_one_byte_changed_or_added_anywhere_never_parts_the_roads(at: int, byte: int, insert: bool) -> None:
    data = bytearray(golden("from_twilio_media"))
    at %= len(data)
    data[at : at + (not insert)] = bytes([byte])
    found = fast(bytes(data))
    if found is not None:
        assert twilio.parse(bytes(data)) == twilio.Media(SID, found.decode())


@given(
    first=st.sampled_from(["streamSid", "media", "event", "sequenceNumber"]),
    value=st.sampled_from(['"MZother"', '{"payload":"AAAA"}', '"stop"', "1"]),
)
def test_a_key_given_twice_counts_the_last_time_on_both_roads(first: str, value: str) -> None:
    text = golden("from_twilio_media").decode()
    before = f'{{"{first}":{value},' + text[1:]
    after = text[:-1] + f',"{first}":{value}}}'
    for data in (before.encode(), after.encode()):
        assert fast(data) is None


def test_another_stream_s_media_is_left_to_the_full_parse() -> None:
    assert find(twilio.media_shape("MZother"), golden("from_twilio_media")) is None
