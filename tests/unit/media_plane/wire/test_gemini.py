"""Gemini Live's frames against the golden files, and the learned shape against the full parse."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media_plane.errors import PeerError
from media_plane.wire import gemini
from media_plane.wire.gemini import ServerMessage, ToolCall, audio_shape
from tests.support.shapes import find

GOLDEN = Path(__file__).parents[4] / "protos" / "golden" / "gemini"
_HANDLE = "CihrZ2t1dTd0c3hnNGdkcHY5cGZ2MnI1anN6bnk5eHhvZ2x5cXU2cGh4"
SERVER = sorted(path.stem for path in GOLDEN.glob("server-*.json"))


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes()


def said(name: str) -> ServerMessage:
    """A golden message, its audio replaced by byte counts."""
    message = gemini.parse(golden(name))
    message.audio = [str(len(base64.b64decode(gemini.standard_base64(part)))) for part in message.audio]
    return message


@pytest.mark.parametrize("name", SERVER)
def test_every_golden_server_frame_parses(name: str) -> None:
    assert isinstance(gemini.parse(golden(name)), ServerMessage)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("server-empty", ServerMessage()),
        ("server-setup-complete", ServerMessage(setup_complete=True)),
        ("server-setup-complete-session-id", ServerMessage(setup_complete=True)),
        ("server-audio-one-sample", ServerMessage(audio=["2"])),
        ("server-generation-complete", ServerMessage(generation_complete=True)),
        ("server-interrupted", ServerMessage(interrupted=True)),
        ("server-turn-complete", ServerMessage(turn_complete=True, prompt_tokens=310, response_tokens=88)),
        ("server-input-transcription-delta", ServerMessage(input_text=" book")),
        ("server-interim-input-transcription", ServerMessage()),
        ("server-go-away", ServerMessage(go_away_ms=50_000)),
        ("server-go-away-fraction", ServerMessage(go_away_ms=9_500)),
        ("server-session-resumption-update-not-resumable", ServerMessage(resumption="")),
        ("server-session-resumption-update", ServerMessage(resumption=_HANDLE)),
        ("server-session-resumption-update-index", ServerMessage(resumption=_HANDLE, consumed=12)),
        ("server-tool-call", ServerMessage(tool_calls=[ToolCall("fc-1", "lookup", '{"q":"x"}')])),
        ("server-model-text", ServerMessage()),
        ("server-voice-activity", ServerMessage()),
    ],
)
def test_golden_frames_say_what_they_say(name: str, expected: ServerMessage) -> None:
    assert said(name) == expected


def test_one_frame_can_say_everything_at_once() -> None:
    message = gemini.parse(golden("server-everything"))
    assert len(message.audio) == 1
    assert (message.input_text, message.output_text) == (" please", " you today?")
    assert message.generation_complete
    assert message.turn_complete
    assert (message.prompt_tokens, message.response_tokens) == (310, 88)


def test_all_parts_of_a_frame_are_read_in_order() -> None:
    assert len(gemini.parse(golden("server-audio-two-parts")).audio) == 2


def test_words_that_look_like_fields_stay_words() -> None:
    message = gemini.parse(golden("server-output-transcription-escapes"))
    assert message.output_text
    assert not message.audio


def test_both_alphabets_decode_to_the_same_samples() -> None:
    url_safe = gemini.parse(golden("server-audio-url-safe")).audio[0]
    assert "-" in url_safe or "_" in url_safe
    standard = base64.b64decode(gemini.standard_base64(url_safe), validate=True)
    assert standard == base64.urlsafe_b64decode(url_safe + "=" * (-len(url_safe) % 4))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "frame is not JSON"),
        (b"\xff", "frame is not JSON"),
        (b"[" * 100_000, "frame is not JSON"),
        (b"[]", "frame is not a JSON object"),
        (b'{"serverContent":7}', "serverContent is not an object"),
        (b'{"serverContent":{"modelTurn":{"parts":[7]}}}', "parts is not a list of objects"),
        (
            b'{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"mimeType":"audio/pcm","data":7}}]}}}',
            "data is not a string",
        ),
        (
            b'{"serverContent":{"modelTurn":{"parts":[{"inlineData":{"mimeType":"audio/pcm;rate=16000"}}]}}}',
            "inlineData.mimeType is not at 24000 Hz",
        ),
        (b'{"serverContent":{"interrupted":"yes"}}', "interrupted is not true or false"),
        (b'{"serverContent":{"outputTranscription":{"text":7}}}', "text is not a string"),
        (b'{"usageMetadata":{"promptTokenCount":-1}}', "promptTokenCount is not a count"),
        (b'{"goAway":{"timeLeft":"soon"}}', "timeLeft is not a duration"),
    ],
)
def test_nonsense_is_refused_with_the_field_s_name(data: bytes, reason: str) -> None:
    with pytest.raises(PeerError, match=reason.replace(".", r"\.")):
        gemini.parse(data)


def test_the_audio_we_send_is_what_the_sdk_sends() -> None:
    theirs = json.loads(golden("client-audio-16k"))["realtime_input"]["audio"]
    pcm = base64.urlsafe_b64decode(theirs["data"])
    message = gemini.audio_head(16000) + base64.b64encode(pcm) + gemini.AUDIO_TAIL
    ours = json.loads(message)["realtimeInput"]["audio"]
    assert ours == {"mimeType": theirs["mime_type"], "data": base64.b64encode(pcm).decode()}


def test_a_greeting_is_asked_for_with_its_words_whatever_they_are() -> None:
    message = json.loads(gemini.say('Grüß "Gott"\n'))
    turn = message["clientContent"]["turns"][0]
    assert message["clientContent"]["turnComplete"] is True
    assert turn["role"] == "user"
    assert turn["parts"][0]["text"].endswith('Say exactly: "Grüß "Gott"\n"')


# -- the learned shape --


ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_="


def fast_shaped(audio: str, data: bytes) -> bool:
    """The audio stands in the frame as it is, and nowhere else."""
    return audio.isascii() and data.count(f'"{audio}"'.encode()) == 1


def fast(shape: tuple[bytes, bytes] | None, data: bytes) -> str | None:
    """The audio by the fast road, under the decoder's condition; None when it declines."""
    place = find(shape, data) if shape is not None else None
    if place is None:
        return None
    audio = data[slice(*place)]
    return audio.decode() if all(chr(byte) in ALPHABET for byte in audio) else None


def test_frames_that_differ_in_their_audio_alone_take_the_fast_road() -> None:
    first = golden("server-audio")
    shape = audio_shape(first, gemini.parse(first))
    assert fast(shape, first) == gemini.parse(first).audio[0]
    taken = {name: found for name in SERVER if (found := fast(shape, golden(name))) is not None}
    assert {"server-audio", "server-audio-url-safe"} <= taken.keys()
    for name, found in taken.items():
        assert gemini.parse(golden(name)) == ServerMessage(audio=[found])


@pytest.mark.parametrize("name", ["server-everything", "server-audio-two-parts", "server-interrupted"])
def test_a_frame_that_says_more_than_audio_teaches_nothing(name: str) -> None:
    assert audio_shape(golden(name), gemini.parse(golden(name))) is None


def test_the_same_characters_in_a_field_nobody_reads_do_not_mislead() -> None:
    blob = b'{"mimeType":"audio/pcm","data":"\\u0041AAA"}'
    data = b'{"note":"AAAA","serverContent":{"modelTurn":{"parts":[{"inlineData":%b}]}}}' % blob
    message = gemini.parse(data)
    assert message.audio == ["AAAA"]
    assert audio_shape(data, message) is None


words = st.text(max_size=12) | st.sampled_from(['"data": "AAAA"', 'a\\"b', '"}}', "inlineData", "AAAA"])
audio = st.binary(max_size=120).map(lambda raw: base64.b64encode(raw).decode())
odd_audio = audio | audio.map(lambda text: text.replace("+", "-").replace("/", "_").rstrip("=")) | words
part = st.fixed_dictionaries(
    {"inlineData": st.fixed_dictionaries({"mimeType": st.just("audio/pcm;rate=24000"), "data": odd_audio})}
) | st.fixed_dictionaries({"text": words})
content = st.fixed_dictionaries(
    {"modelTurn": st.fixed_dictionaries({"parts": st.lists(part, max_size=3)}, optional={"role": words})},
    optional={
        "outputTranscription": st.fixed_dictionaries({"text": words}),
        "inputTranscription": st.fixed_dictionaries({"text": words}),
        "interrupted": st.booleans(),
        "turnComplete": st.booleans(),
        "unheardOf": words,
    },
)
frame = st.fixed_dictionaries(
    {"serverContent": content},
    optional={"usageMetadata": st.fixed_dictionaries({"promptTokenCount": st.integers(0, 9)}), "note": words},
)
style = st.sampled_from(
    [{"indent": 2}, {"separators": (",", ":")}, {"indent": 1, "ensure_ascii": False}, {"sort_keys": True}]
)


@given(frames=st.lists(st.tuples(frame, style), min_size=1, max_size=8))
def test_over_any_stream_of_frames_the_fast_road_equals_the_full_parse(
    frames: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    shape: tuple[bytes, bytes] | None = None
    for message, options in frames:
        data = json.dumps(message, **options).encode("utf-8", "surrogatepass")
        try:
            parsed = gemini.parse(data)
        except PeerError:
            assert fast(shape, data) is None
            continue
        found = fast(shape, data)
        if found is not None:
            assert parsed == ServerMessage(audio=[found])
        shape = audio_shape(data, parsed) or shape
        if (
            len(parsed.audio) == 1
            and parsed == ServerMessage(audio=parsed.audio)
            and fast_shaped(parsed.audio[0], data)
        ):
            assert fast(shape, data) is not None or parsed.audio[0].strip(ALPHABET)


@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_one_byte_changed_anywhere_never_parts_the_roads(at: int, byte: int) -> None:
    original = golden("server-audio-one-sample")
    shape = audio_shape(original, gemini.parse(original))
    data = bytearray(original)
    data[at % len(data)] = byte
    found = fast(shape, bytes(data))
    if found is not None:
        assert gemini.parse(bytes(data)) == ServerMessage(audio=[found])


@pytest.mark.parametrize("index", ['"x"', "-1", "true", "1.5", '"12345678901234567890"'])
def test_a_consumed_index_that_is_no_count_is_refused(index: str) -> None:
    frame = f'{{"sessionResumptionUpdate":{{"resumable":true,"lastConsumedClientMessageIndex":{index}}}}}'
    with pytest.raises(PeerError, match="lastConsumedClientMessageIndex"):
        gemini.parse(frame.encode())
