"""What surrounds the models: cached sentences, trimmed silence, tones, the missing extra."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from bench.sim.gemini.errors import ScenarioError
from bench.sim.gemini.mouths import sound
from bench.sim.gemini.scenario import VoiceSpec
from bench.sim.speech.cache import SentenceCache, write_sentence
from bench.sim.speech.errors import SpeechUnavailable
from bench.sim.speech.trim import trim_silence
from bench.sim.speech.worker import check_installed


def test_a_sentence_written_to_disk_is_found_by_the_next_run(tmp_path: Path) -> None:
    pcm = np.arange(1000, dtype=np.int16)
    first = SentenceCache(tmp_path, "voice")
    assert first.get("hello", 24_000) is None
    path = first.path("hello", 24_000)
    assert path is not None
    write_sentence(path, 24_000, pcm)
    found = SentenceCache(tmp_path, "voice").get("hello", 24_000)
    assert found is not None
    assert (found == pcm).all()
    assert SentenceCache(tmp_path, "voice").get("hello", 16_000) is None
    assert SentenceCache(tmp_path, "other").get("hello", 24_000) is None


def test_a_broken_file_counts_as_absent(tmp_path: Path) -> None:
    cache = SentenceCache(tmp_path, "voice")
    path = cache.path("hello", 24_000)
    assert path is not None
    path.write_bytes(b"RIFF")
    assert cache.get("hello", 24_000) is None


def test_sentences_in_memory_are_bounded_and_the_oldest_go_first() -> None:
    cache = SentenceCache(None, "voice")
    for number in range(5):
        cache.put(str(number), 24_000, np.zeros(8 * 2**20, np.int16))  # 16 MiB each
    assert [cache.get(str(number), 24_000) is not None for number in range(5)] == [
        False,
        True,
        True,
        True,
        True,
    ]


def test_silence_is_cut_off_both_ends() -> None:
    pcm = np.concatenate((np.zeros(1000), np.full(500, 5000), np.zeros(2000))).astype(np.int16)
    trimmed = trim_silence(pcm, 16_000)
    assert trimmed.size == 500 + 2 * 480
    assert trim_silence(np.zeros(100, np.int16), 16_000).size == 0


def test_a_tone_sounds_at_its_pitch_for_as_long_as_its_words_would() -> None:
    pcm = sound("one two three", VoiceSpec(tone_hz=440))
    assert pcm.size == 24 * 990
    spectrum = np.abs(np.fft.rfft(pcm.astype(np.float64)))
    assert abs(np.argmax(spectrum) * 24_000 / pcm.size - 440) < 2
    assert abs(int(pcm[0])) < 10  # it fades in


def test_a_recording_is_brought_to_24_khz(tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    write_sentence(path, 8_000, np.ones(8_000, np.int16) * 1000)
    assert abs(sound("any", VoiceSpec(wav=path)).size - 24_000) <= 1
    with pytest.raises(ScenarioError, match=r"missing\.wav"):
        sound("any", VoiceSpec(wav=tmp_path / "missing.wav"))


def test_without_the_extra_speech_is_refused_naming_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "piper" else object())
    with pytest.raises(SpeechUnavailable, match=r"voiceplane\[demo\].*missing: piper-tts"):
        check_installed()
    check_installed(voice=False)
