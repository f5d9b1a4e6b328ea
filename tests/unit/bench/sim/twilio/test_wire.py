"""Stream messages against the golden files, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.sim.twilio import wire

GOLDEN = Path(__file__).parents[5] / "protos" / "golden" / "twilio"
ACCOUNT = "AC" + "0123456789abcdef" * 2
CALL = "CA" + "fedcba9876543210" * 2
STREAM = "MZ00112233445566778899aabbccddeeff"


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes()


def messages(next_number: int) -> wire.StreamMessages:
    """A stream whose next message has this number."""
    it = wire.StreamMessages(ACCOUNT, CALL, STREAM)
    for _ in range(next_number - 1):
        it.unknown()
    return it


def test_connected_has_neither_stream_nor_number() -> None:
    assert golden("from_twilio_connected") == wire.CONNECTED


def test_start_is_number_one_and_carries_the_parameters() -> None:
    assert messages(1).start({"call_id": "abc"}) == golden("from_twilio_start")
    assert messages(1).start({}) == golden("from_twilio_start_no_parameters")


def test_media_counts_messages_and_chunks_as_strings() -> None:
    assert messages(2).media(bytes(range(160)), 5) == golden("from_twilio_media")


def test_silence_late_in_a_stream() -> None:
    it = messages(2)
    for n in range(1501):
        it.media(b"\xff" * 160, n * 20)
    assert it.media(b"\xff" * 160, 30025) == golden("from_twilio_media_silence")
    assert it.chunks == 1502


def test_dtmf_mark_and_stop() -> None:
    assert messages(9).dtmf("5") == golden("from_twilio_dtmf")
    assert messages(12).mark("utt-7") == golden("from_twilio_mark")
    assert messages(500).stop() == golden("from_twilio_stop")


def test_what_a_media_server_sends_is_understood() -> None:
    assert wire.parse(golden("to_twilio_media"), STREAM) == wire.Media(bytes(range(96, 256)))
    assert wire.parse(golden("to_twilio_mark"), STREAM) == wire.Mark("utt-7")
    assert wire.parse(golden("to_twilio_clear"), STREAM) == wire.Clear()


@pytest.mark.parametrize(
    ("message", "names"),
    [
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"\xff\xfe", "not JSON"),
        ({"event": "dance", "streamSid": STREAM}, "event"),
        ({"streamSid": STREAM}, "event"),
        ({"event": "clear"}, "streamSid"),
        ({"event": "clear", "streamSid": "MZ0"}, "streamSid"),
        ({"event": "clear", "streamSid": STREAM, "clear": {}}, "clear"),
        ({"event": "media", "streamSid": STREAM}, "media"),
        ({"event": "media", "streamSid": STREAM, "media": "AAAA"}, "payload"),
        ({"event": "media", "streamSid": STREAM, "media": {"payload": 5}}, "payload"),
        ({"event": "media", "streamSid": STREAM, "media": {"payload": ""}}, "payload"),
        ({"event": "media", "streamSid": STREAM, "media": {"payload": "A-_A"}}, "payload"),
        ({"event": "media", "streamSid": STREAM, "media": {"payload": "AAA"}}, "payload"),
        ({"event": "media", "streamSid": STREAM, "media": {"payload": "AAAA", "track": "x"}}, "payload"),
        ({"event": "mark", "streamSid": STREAM, "mark": {"name": ""}}, "name"),
        ({"event": "mark", "streamSid": STREAM, "mark": {}}, "name"),
    ],
)
def test_anything_else_is_refused_naming_the_field(message: object, names: str) -> None:
    data = message if isinstance(message, bytes) else json.dumps(message).encode()
    with pytest.raises(wire.InvalidMessage, match=names):
        wire.parse(data, STREAM)
