"""The demo's callee."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from bench.demo.persona import AUDIO, RATE, decode, persona


def test_a_clip_is_decoded_to_16_khz_mono() -> None:
    assert len(decode(AUDIO / "austen-0880.wav")) == pytest.approx(2.99 * RATE, abs=RATE * 0.02)


def test_a_clip_can_be_cut() -> None:
    clip = decode(AUDIO / "austen-0880.wav")
    assert np.array_equal(
        decode(AUDIO / "austen-0880.wav", from_s=0.5, until_s=1.5), clip[RATE // 2 : RATE * 3 // 2]
    )


def test_other_rates_and_stereo_are_converted(tmp_path: Path) -> None:
    source = tmp_path / "stereo.wav"
    with wave.open(str(source), "wb") as target:
        target.setnchannels(2)
        target.setsampwidth(2)
        target.setframerate(44100)
        target.writeframes(bytes(44100 * 4))
    assert len(decode(source)) == pytest.approx(RATE, abs=200)


@pytest.mark.parametrize("content", [b"", b"no audio at all", None])
def test_what_is_no_audio_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    source = tmp_path / "speech.mp3"
    if content is not None:
        source.write_bytes(content)
    with pytest.raises(ValueError, match=r"speech\.mp3"):
        decode(source)


def test_the_default_callee_speaks_interrupts_and_hangs_up(tmp_path: Path) -> None:
    script = persona(None, tmp_path)["script"]
    kinds = [next(iter(step)) for step in script]
    assert kinds == ["wait", "wait", "play", "barge_in", "wait", "wait", "hangup"]
    assert all(Path(step["play"]).exists() for step in script if "play" in step)


def test_an_own_recording_is_spoken_once(tmp_path: Path) -> None:
    script = persona(AUDIO / "austen-0870.wav", tmp_path)["script"]
    assert [step for step in script if "play" in step] == [{"play": str(tmp_path / "callee.wav")}]
    assert script[-1] == {"hangup": True}
