"""The fast road equals the full parse, sample for sample, in what leaves the session.

Frames are generated as text, so that they can be what no JSON writer writes: keys given twice, escapes where
none are needed, cut short, a megabyte long.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from media_plane.dsp.codec import KernelCodecs
from media_plane.errors import PeerError
from media_plane.wire import gemini, twilio
from tests.support.recorded_call import SID, FullParse, RecordedCall, noise

CODECS = KernelCodecs()
RATES = pytest.mark.parametrize("codecs", [CODECS, KernelCodecs(8000)], ids=["16k", "8k"])
LENGTHS = st.sampled_from([0, 1, 2, 3, 159, 160, 160, 160, 161, 1602, 1603, 8000]) | st.integers(0, 400)
AUDIO_AT = "@audio@"
ROADS = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])

Draw = Callable[[st.SearchStrategy[Any]], Any]


@st.composite
def texts(draw: Draw) -> str:
    """What stands where base64 should: mostly base64 of either alphabet, padded or not."""
    text = base64.b64encode(noise(draw(st.integers(0, 99)), draw(LENGTHS))).decode()
    kind = draw(st.sampled_from(["plain"] * 14 + ["safe", "bare", "both", "bad", "bad", "over"]))
    if kind in ("safe", "both"):
        text = text.replace("+", "-").replace("/", "_")
    if kind in ("bare", "both"):
        text = text.rstrip("=")
    if kind == "over":
        text += "===="
    if kind == "bad":
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at]
            + draw(st.sampled_from(["!", " ", "\n", "=", "==", "ä", '"', "\\", "A", "\0"]))
            + text[at:]
        )
    return text


@st.composite
def literals(draw: Draw) -> str:
    """`texts` as a JSON string, sometimes with escapes that need not be."""
    text = draw(texts())
    literal = json.dumps(text, ensure_ascii=draw(st.booleans()))
    how = draw(st.sampled_from(["as it is"] * 5 + ["slashes", "letters"]))
    if how == "slashes":
        literal = literal.replace("/", "\\/")
    if how == "letters" and text.isalnum():
        literal = '"' + "".join(f"\\u{ord(c):04x}" for c in text[:5]) + text[5:] + '"'
    return literal


@st.composite
def written(draw: Draw, message: dict[str, Any], style: dict[str, Any], doubled: list[str]) -> bytes:
    """`message` as bytes, disturbed now and then."""
    text = json.dumps(message, **style)
    if AUDIO_AT in text:
        text = text.replace(f'"{AUDIO_AT}"', draw(literals()))
    what = draw(st.sampled_from(["nothing"] * 30 + ["double", "double", "cut", "byte", "megabyte"]))
    if what == "double":
        first = draw(st.sampled_from(doubled)) + ","
        at = [i + 1 for i, c in enumerate(text) if c == "{" and text[i : i + 2] != "{}"]
        where = at[draw(st.integers(0, len(at) - 1))] if at else 0
        text = text[:where] + first * bool(at) + text[where:]
    if what == "megabyte":
        text = text.replace("{", '{"note":"' + "A" * (1 << 20) + '",', 1) if text != "{}" else text
    data = text.encode("utf-8", "surrogatepass")
    if what == "cut":
        return data[: draw(st.integers(0, len(data)))]
    if what == "byte" and data:
        at_byte = draw(st.integers(0, len(data) - 1))
        return data[:at_byte] + bytes([draw(st.integers(0, 255))]) + data[at_byte + 1 :]
    return data


STYLES = st.sampled_from([{"separators": (",", ":")}, {"indent": 2}, {}, {"indent": 1, "sort_keys": True}])


@st.composite
def caller_frames(draw: Draw) -> list[bytes]:
    frames = []
    calm = draw(st.booleans())  # in Twilio's own shape
    style = {"separators": (",", ":")} if calm or draw(st.booleans()) else draw(STYLES)
    for number in range(1, draw(st.integers(2, 9))):
        media = {"track": "inbound", "chunk": str(number), "timestamp": str(20 * number), "payload": AUDIO_AT}
        message: dict[str, Any] = {
            "event": "media",
            "sequenceNumber": str(number + 1),
            "streamSid": SID,
            "media": media,
        }
        changes = ["none"] * 10 + ["lose", "order", "sid", "track", "number", "event"]
        change = "none" if calm else draw(st.sampled_from(changes))
        if change == "lose":
            place = draw(st.sampled_from([message, media]))
            del place[draw(st.sampled_from(sorted(place)))]
        elif change == "order":
            message = dict(reversed(message.items()))
        elif change == "sid":
            message["streamSid"] = draw(st.sampled_from(["MZother", SID + "x", SID.lower(), "", 7, None]))
        elif change == "track":
            media["track"] = draw(st.sampled_from(["outbound", "", "Inbound"]))
        elif change == "number":
            message["sequenceNumber"] = draw(st.sampled_from([7, "", "x", "-1", "9" * 30, None]))
        elif change == "event":
            message["event"] = draw(st.sampled_from(["Media", "connected", "", 7, "weather"]))
        doubled = [
            '"payload":"AAAA"',
            '"streamSid":"MZother"',
            '"event":"weather"',
            '"media":{"payload":"AAAA"}',
        ]
        frames.append(draw(written(message, style, doubled)))
    return frames


@st.composite
def model_frames(draw: Draw) -> list[bytes]:
    frames = []
    style, calm = draw(STYLES), draw(st.booleans())  # calm: of one shape, the audio apart
    for _ in range(draw(st.integers(2, 9))):
        parts: list[Any] = []
        for _ in range(1 if calm else draw(st.sampled_from([1, 1, 1, 1, 0, 2, 3]))):
            mimes = ["audio/pcm;rate=24000"] * 20 + ["audio/pcm", "audio/pcm;rate=16000", "x/y", 7]
            mime = mimes[0] if calm else draw(st.sampled_from(mimes))
            parts.append({"inlineData": {"mimeType": mime, "data": AUDIO_AT}})
            if not calm and draw(st.integers(0, 9)) == 0:
                parts.append(draw(st.sampled_from([{"text": "thinking"}, {}, 7, {"inlineData": {}}])))
        content: dict[str, Any] = {"modelTurn": {"role": "model", "parts": parts}}
        beside = {
            "outputTranscription": {"text": draw(st.sampled_from(["Hi", '"data": "AAAA"', "\u2028", ""]))},
            "inputTranscription": {"text": "what"},
            "interrupted": False,
            "generationComplete": True,
            "turnComplete": True,
            "unheardOf": {"data": AUDIO_AT},
        }
        bundles = [()] * 4 + [(name,) for name in beside] + [tuple(beside)]
        for name in () if calm else draw(st.sampled_from(bundles)):
            content[name] = beside[name]
        message: dict[str, Any] = {"serverContent": content}
        if not calm and draw(st.integers(0, 7)) == 0:
            message["usageMetadata"] = {"promptTokenCount": 3, "responseTokenCount": 4}
        if not calm and draw(st.integers(0, 9)) == 0:
            message = dict(reversed(message.items())) | {"note": [1, {"data": "AAAA"}]}
        if draw(st.integers(0, 9)) == 0:
            message = draw(st.sampled_from([{}, {"serverContent": {}}, {"setupComplete": {}}, {"x": 1}]))
        doubled = [
            '"data":"AAAA"',
            '"parts":[]',
            '"serverContent":{}',
            '"turnComplete":true',
            '"mimeType":"x/y"',
        ]
        frames.append(draw(written(message, style, doubled)))
    return frames


def media(payload: str) -> bytes:
    head = (
        f'{{"event":"media","sequenceNumber":"2","streamSid":"{SID}","media":{{"track":"inbound","chunk":"1"'
    )
    return f'{head},"timestamp":"20","payload":"{payload}"}}}}'.encode()


@RATES
@ROADS
@given(frames=caller_frames())
@example(
    frames=[media(base64.b64encode(noise(1, length)).decode()) for length in (0, 1, 159, 160, 161, 8000)]
)
@example(
    frames=[media(text) for text in ("A", "A===", "AAAA====", "AA==AAAA", "AA=A", "=", "-_+/", "AAA\\/")]
)
def test_what_the_model_hears_is_what_a_full_parse_of_every_frame_finds(
    codecs: KernelCodecs, frames: list[bytes]
) -> None:
    call, full = RecordedCall(codecs), FullParse(codecs)
    for data in frames:
        full.from_caller(data)
        if full.refused:
            with pytest.raises(PeerError):
                call.from_caller(data)
            break
        call.from_caller(data)
    assert call.model.audio == full.to_model()
    assert call.session.tally.peer_errors == full.errors


@ROADS
@given(frames=model_frames())
def test_what_the_caller_hears_is_what_a_full_parse_of_every_frame_finds(frames: list[bytes]) -> None:
    call, full = RecordedCall(CODECS), FullParse(CODECS)
    for data in frames:
        full.from_model(data)
        call.from_model(data)
    assert call.caller.audio == full.to_caller()
    assert call.session.tally.peer_errors == full.errors


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 99), cuts=st.lists(st.integers(1, 700), min_size=1, max_size=20), style=STYLES)
def test_parts_of_any_length_are_one_stream(seed: int, cuts: list[int], style: dict[str, Any]) -> None:
    call, full = RecordedCall(CODECS), FullParse(CODECS)
    for number, length in enumerate(cuts):
        data = base64.b64encode(noise(seed + number, length)).decode()
        part = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": data}}
        frame = json.dumps({"serverContent": {"modelTurn": {"parts": [part]}}}, **style).encode()
        full.from_model(frame)
        call.from_model(frame)
    assert len(full.pcm24k) == sum(cuts)
    assert call.caller.audio == full.to_caller()


def test_ordinary_frames_are_not_parsed_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the equality above would say nothing about the fast road."""
    call = RecordedCall(CODECS)
    part = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": AUDIO_AT}}
    frame = json.dumps({"serverContent": {"modelTurn": {"parts": [part]}}}, indent=2)

    def spoken(number: int) -> bytes:
        return frame.replace(AUDIO_AT, base64.b64encode(noise(number, 1920)).decode()).encode()

    call.from_model(spoken(0))
    for module in (gemini, twilio):
        monkeypatch.delattr(module, "parse")
    for number in range(1, 10):
        call.from_model(spoken(number))
        call.from_caller(media(base64.b64encode(noise(number, 160)).decode()))
    assert len(call.caller.audio) == 10 * 320
    assert len(call.model.audio) == 9 * 640


def test_a_megabyte_of_audio_in_one_frame_is_carried_whole() -> None:
    call, full = RecordedCall(CODECS), FullParse(CODECS)
    part = {
        "inlineData": {
            "mimeType": "audio/pcm;rate=24000",
            "data": base64.b64encode(noise(3, 800_001)).decode(),
        }
    }
    data = json.dumps({"serverContent": {"modelTurn": {"parts": [part]}}}).encode()
    full.from_model(data)
    call.from_model(data)
    call.from_model(data)
    full.from_model(data)
    assert call.caller.audio == full.to_caller()
    assert len(call.caller.audio) == 2 * 800_001 // 6


def test_the_model_is_told_the_rate_that_it_gets() -> None:
    codecs = KernelCodecs(8000)
    call, full = RecordedCall(codecs), FullParse(codecs)
    for data in [media(base64.b64encode(noise(n, 160)).decode()) for n in range(5)]:
        full.from_caller(data)
        call.from_caller(data)
    assert call.model.audio == full.to_model()
    assert len(call.model.audio) == 5 * 320
    assert call.model.rates == {"audio/pcm;rate=8000"}
