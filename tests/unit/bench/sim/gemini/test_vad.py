"""When speech begins and ends, in audio time."""

from __future__ import annotations

import numpy as np
import pytest

from bench.sim.gemini.vad import Change, Event, Vad, VadConfig
from tests.support.gemini_sim import silence, tone

MS = 1_000_000


def listen(pcm: bytes, config: VadConfig | None = None, chunk_ms: int = 20) -> list[tuple[str, int]]:
    """What changed, and when (ms of audio that had arrived)."""
    vad = Vad(config or VadConfig())
    changes: list[tuple[str, int]] = []
    samples = np.frombuffer(pcm, np.int16)
    step = 16 * chunk_ms
    for start in range(0, samples.size, step):
        at_ms = (start + step) // 16
        events: list[Event] = vad.push(samples[start : start + step], at_ms * MS)
        changes += [(event.change.value, at_ms) for event in events]
    return changes


def test_speech_is_committed_after_200_ms_and_over_after_800_ms_of_silence() -> None:
    pcm = silence(500) + tone(1000) + silence(1000)
    assert listen(pcm) == [("started", 700), ("paused", 1900), ("ended", 2300)]


def test_100_ms_of_noise_is_no_speech_and_400_ms_are() -> None:
    assert listen(silence(300) + tone(100) + silence(1000)) == []
    assert listen(silence(300) + tone(400) + silence(1000))[0] == ("started", 500)


def test_a_pause_shorter_than_the_silence_does_not_end_the_turn() -> None:
    pcm = tone(500) + silence(600) + tone(500) + silence(900)
    assert [change for change, _ in listen(pcm)] == ["started", "paused", "resumed", "paused", "ended"]


def test_a_burst_ends_at_the_same_sample_as_a_paced_stream() -> None:
    pcm = silence(300) + tone(700) + silence(1000)
    (paced,) = [at for change, at in listen(pcm) if change == "ended"]
    vad = Vad(VadConfig())
    events = vad.push(np.frombuffer(pcm, np.int16), 5 * MS)
    ended = next(event for event in events if event.change is Change.ENDED)
    assert ended.position == 16 * 1000
    assert paced == 1800


@pytest.mark.parametrize("chunk_ms", [1, 7, 20, 33, 100])
def test_chunks_of_any_length_are_heard_alike(chunk_ms: int) -> None:
    pcm = silence(500) + tone(1000) + silence(1000)
    assert [change for change, _ in listen(pcm, chunk_ms=chunk_ms)] == ["started", "paused", "ended"]


def test_setup_may_ask_for_other_durations() -> None:
    config = VadConfig.from_setup({"silenceDurationMs": 400, "prefixPaddingMs": 300})
    assert (config.silence_ms, config.speech_ms, config.pause_ms) == (400, 300, 200)
    assert listen(tone(1000) + silence(500), config) == [("started", 300), ("paused", 1200), ("ended", 1400)]


def test_low_sensitivities_want_more_speech_louder_and_more_silence() -> None:
    low = VadConfig.from_setup(
        {
            "startOfSpeechSensitivity": "START_SENSITIVITY_LOW",
            "endOfSpeechSensitivity": "END_SENSITIVITY_LOW",
        }
    )
    high = VadConfig.from_setup({})
    assert (low.speech_ms, low.silence_ms) == (320, 1100)
    soft = tone(1000, amplitude=400) + silence(1200)  # about -41 dBFS
    assert listen(soft, low) == []
    assert [change for change, _ in listen(soft, high)] == ["started", "paused", "ended"]


def test_steady_noise_is_learned_and_is_no_speech() -> None:
    noise = np.random.default_rng(1).normal(0, 60, 16_000 * 3).astype(np.int16).tobytes()  # about -55 dBFS
    assert listen(noise + tone(500) + silence(900))[0] == ("started", 3200)


def test_closing_the_stream_ends_speech() -> None:
    vad = Vad(VadConfig())
    vad.push(np.frombuffer(tone(500), np.int16), 0)
    assert [event.change for event in vad.flush()] == [Change.ENDED]
    assert vad.flush() == []
