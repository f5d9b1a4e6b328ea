"""The simulator's codec against the golden files, and the tolerance that ProtoJSON promises."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from bench.sim.gemini import wire
from bench.sim.gemini.errors import Refused
from tests.support.gemini_sim import GOLDEN

CLIENT = sorted(GOLDEN.glob("client-*.json"))
SERVER = sorted(GOLDEN.glob("server-*.json"))
FREE_FORM = {"response", "parameters", "args"}  # their keys are the application's own


def recased(value: Any, case: Any, free: bool = False) -> Any:
    if isinstance(value, dict):
        return {
            name if free else case(name): recased(item, case, free or name in FREE_FORM)
            for name, item in value.items()
        }
    return [recased(item, case, free) for item in value] if isinstance(value, list) else value


def snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda match: "_" + match[0].lower(), name)


def camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


@pytest.mark.parametrize("path", CLIENT, ids=lambda path: path.stem)
def test_a_frame_of_the_sdk_is_read_in_either_casing_at_every_level(path: Any) -> None:
    raw = path.read_bytes()
    as_written = wire.decode(raw)
    frame = json.loads(raw)
    assert wire.decode(json.dumps(recased(frame, snake))) == as_written
    assert wire.decode(json.dumps(recased(frame, camel)).encode()) == as_written


@pytest.mark.parametrize(
    "path", [path for path in SERVER if "compact" not in path.stem], ids=lambda path: path.stem
)
def test_a_frame_is_written_as_the_service_writes_it(path: Any) -> None:
    raw = path.read_bytes()
    assert wire.encode(json.loads(raw)) == raw


def test_audio_in_both_alphabets_with_and_without_padding_is_the_same() -> None:
    pcm = bytes(range(256)) + b"\xff"
    for text in (base64.b64encode(pcm).decode(), base64.urlsafe_b64encode(pcm).decode()):
        for data in (text, text.rstrip("=")):
            assert wire.read_blob({"data": data, "mimeType": "audio/pcm"}, "x").data == pcm


def test_golden_audio_of_the_sdk_is_a_tone() -> None:
    message = wire.decode((GOLDEN / "client-audio-16k.json").read_bytes())
    blob = wire.read_blob(message.body["audio"], "realtime_input.audio")
    assert (len(blob.data), wire.pcm_rate(blob.mime_type)) == (640, 16_000)


def test_inline_audio_is_what_the_golden_file_holds() -> None:
    golden = json.loads((GOLDEN / "server-audio.json").read_bytes())
    (part,) = golden["serverContent"]["modelTurn"]["parts"]
    assert wire.inline_audio(base64.b64decode(part["inlineData"]["data"])) == part


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (
            {"setup": {"generation_config": {"x": 1}}},
            "Invalid JSON payload received. "
            "Unknown name \"x\" at 'setup.generation_config': Cannot find field.",
        ),
        (
            {"setup": {"tools": [{"functionDeclarations": [{"nam": "f"}]}]}},
            'Invalid JSON payload received. Unknown name "nam" at '
            "'setup.tools[0].function_declarations[0]': Cannot find field.",
        ),
        ({"hello": {}}, 'Invalid JSON payload received. Unknown name "hello": Cannot find field.'),
        ({"setup": {"model": 3}}, "Invalid value at 'setup.model' (TYPE_STRING), int"),
        (
            {"setup": {"generationConfig": {"responseModalities": ["AUDO"]}}},
            "Invalid value at 'setup.generation_config.response_modalities[0]' (TYPE_ENUM), \"AUDO\"",
        ),
        ({}, "Request contains an invalid argument."),
        ({"setup": {}, "clientContent": {}}, "Request contains an invalid argument."),
    ],
)
def test_what_the_proto_does_not_know_is_refused_naming_the_path(frame: Any, reason: str) -> None:
    with pytest.raises(Refused) as refused:
        wire.decode(json.dumps(frame))
    assert (refused.value.code, refused.value.reason) == (1007, reason.encode()[:123].decode())


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[]", b"null", b'"text"'])
def test_what_is_not_a_json_object_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused) as refused:
        wire.decode(raw)
    assert refused.value.code == 1007


def test_numbers_may_come_as_strings_and_null_means_unset() -> None:
    body = wire.decode('{"setup": {"generationConfig": {"seed": "7", "topP": null, "temperature": 1}}}').body
    assert body == {"generationConfig": {"seed": 7, "temperature": 1.0}}


@pytest.mark.parametrize("data", ["AA*A", "A", "ü"])
def test_broken_base64_is_refused_naming_the_field(data: str) -> None:
    with pytest.raises(Refused, match=r"realtime_input\.audio\.data"):
        wire.read_blob({"data": data, "mimeType": "audio/pcm"}, "realtime_input.audio")


@pytest.mark.parametrize(
    ("mime_type", "rate"),
    [("audio/pcm", 16_000), ("audio/pcm;rate=8000", 8_000), ("audio/PCM; rate=24000", 24_000)],
)
def test_the_rate_stands_in_the_mime_type(mime_type: str, rate: int) -> None:
    assert wire.pcm_rate(mime_type) == rate


@pytest.mark.parametrize("mime_type", ["audio/wav", "", "audio/pcm;rate=1", "image/jpeg"])
def test_audio_that_is_not_pcm_is_refused(mime_type: str) -> None:
    with pytest.raises(Refused):
        wire.pcm_rate(mime_type)
