"""Audio made ready: files of any rate, tones, keys, prepared scripts."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest

from bench.sim.twilio import mulaw, voice
from bench.sim.twilio.callee import Interrupt, PressKeys, Rest, RingOff, Speak, WaitUntil
from bench.sim.twilio.persona import parse_persona
from bench.sim.twilio.voice import AudioError, Voice


def wav(rate: int, channels: int = 1, width: int = 2, hz: float = 440.0, seconds: float = 0.5) -> bytes:
    t = np.arange(int(rate * seconds)) / rate
    pcm = 0.5 * np.sin(2 * np.pi * hz * t)
    data = (pcm * 32767).astype("<i2") if width == 2 else (pcm * 127 + 128).astype(np.uint8)
    if width == 4:
        data = (pcm * 2**31).astype("<i4")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.repeat(data, channels).tobytes())
    return buffer.getvalue()


def loudest_hz(ulaw: bytes, count: int = 1) -> list[int]:
    pcm = mulaw.decode(ulaw).astype(float)
    spectrum = np.abs(np.fft.rfft(pcm * np.hanning(len(pcm)), 8000))
    found = []
    for _ in range(count):
        peak = int(spectrum.argmax())
        found.append(peak)
        spectrum[max(0, peak - 40) : peak + 40] = 0
    return sorted(found)


@pytest.mark.parametrize(
    ("rate", "channels", "width"), [(8000, 1, 2), (16000, 1, 2), (44100, 2, 2), (11025, 1, 1)]
)
def test_a_wav_of_any_rate_becomes_8_khz_at_its_level(rate: int, channels: int, width: int) -> None:
    ulaw = voice.read_wav(wav(rate, channels, width))
    assert abs(len(ulaw) - 4000) <= 1
    assert abs(loudest_hz(ulaw)[0] - 440) <= 2
    assert np.sqrt((mulaw.decode(ulaw[400:3600]).astype(float) ** 2).mean()) == pytest.approx(11585, rel=0.03)


def test_what_is_no_wav_is_refused() -> None:
    with pytest.raises(AudioError, match="not a PCM WAV"):
        voice.read_wav(b"RIFFnothing")
    with pytest.raises(AudioError, match="32 bits"):
        voice.read_wav(wav(8000, width=4))


def test_keys_are_the_two_tones_of_each_key() -> None:
    ulaw = voice.keys("5w#")
    assert len(ulaw) == 8 * (200 + 500 + 200)
    assert loudest_hz(ulaw[:800], 2) == pytest.approx([770, 1336], abs=8)
    assert loudest_hz(ulaw[5600:6400], 2) == pytest.approx([941, 1477], abs=8)
    assert set(ulaw[800:5600]) == {0xFF}


async def test_a_script_is_prepared_with_its_audio(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(wav(16000))
    script = [
        {"play": str(path)},
        {"pause_ms": 5},
        {"press": "1"},
        {"wait": "silence"},
        {"barge_in": {"play": str(path)}, "after_ms": 3},
        {"beep": True},
    ]
    speak, rest, press, wait, interrupt, beep, end = await Voice(speech=False).prepare(
        parse_persona({"script": script})
    )
    assert isinstance(speak, Speak)
    assert speak.label == "x.wav"
    assert (rest, press, wait) == (Rest(5), PressKeys("1"), WaitUntil("silence", 15_000, 600))
    assert interrupt == Interrupt(speak, 3, 15_000)
    assert isinstance(beep, Speak)
    assert abs(loudest_hz(beep.ulaw)[0] - 1000) <= 2
    assert end == RingOff()


async def test_a_callee_who_stays_has_no_hang_up_and_neither_has_one_without_a_script() -> None:
    voice_ = Voice(speech=False)
    stays = parse_persona({"script": [{"pause_ms": 5}], "hangup_after_script": False})
    assert await voice_.prepare(stays) == [Rest(5)]
    assert await voice_.prepare(parse_persona({})) == []


async def test_a_voicemail_without_a_script_greets_beeps_and_listens() -> None:
    greeting, beep, listening, end = await Voice(speech=False).prepare(
        parse_persona({"outcome": "voicemail"})
    )
    assert isinstance(greeting, Speak)
    assert isinstance(beep, Speak)
    assert (beep.label, listening, end) == ("beep", Rest(30_000), RingOff())


async def test_a_missing_file_and_a_missing_voice_say_so() -> None:
    it = Voice(speech=False)
    with pytest.raises(AudioError, match=r"/nowhere\.wav"):
        await it.file("/nowhere.wav")
    with pytest.raises(AudioError, match="--no-speech"):
        await it.text("hello")
    assert len(await it.text_or_hum("hello")) > 0


@pytest.mark.speech
async def test_a_text_is_spoken() -> None:
    it = Voice(speech=True)
    try:
        ulaw = await it.text("hello there")
    finally:
        await it.close()
    assert 3000 < len(ulaw) < 24000
    assert np.abs(mulaw.decode(ulaw).astype(int)).max() > 3000
