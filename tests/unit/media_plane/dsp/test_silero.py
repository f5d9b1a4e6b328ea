"""The detector: what it is asked, that it tells speech, and what it does to the process."""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from media_plane.dsp.g711 import compress, expand
from media_plane.dsp.silero import Silero, Sileros

AUDIO = Path(__file__).parents[4] / "bench" / "audio"


def recording(name: str) -> NDArray[np.int16]:
    """16 kHz, as it is after a telephone: 8 kHz μ-law."""
    with wave.open(str(AUDIO / name)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    narrow = expand(compress(pcm.reshape(-1, 2).mean(axis=1).astype(np.int16)))
    return np.repeat(narrow, 2)


def judged(detector: Silero, pcm: NDArray[np.int16]) -> NDArray[np.float64]:
    return np.array([detector.probability(pcm[at : at + 512]) for at in range(0, len(pcm) - 511, 512)])


def test_it_takes_a_voice_on_a_telephone_for_speech_and_noise_for_none() -> None:
    detector = Silero()
    speech = judged(detector, recording("austen-0880.wav"))
    assert np.mean(speech > 0.5) > 0.6
    detector.reset()
    noise = np.random.default_rng(1).normal(0, 300, 32_000).astype(np.int16)
    assert np.mean(judged(detector, noise) > 0.5) < 0.05


def test_instances_are_used_again_and_remember_nothing() -> None:
    pool = Sileros()
    pcm = recording("austen-0880.wav")[:16_000]
    first = pool.take()
    before = judged(first, pcm)
    pool.give(first)
    again = pool.take()
    assert again is first
    np.testing.assert_allclose(judged(again, pcm), before, atol=1e-6)
    assert pool.take() is not first
    assert pool.made == 2


def test_two_streams_do_not_mix() -> None:
    pcm = recording("austen-0880.wav")[:16_000]
    alone = judged(Silero(), pcm)
    one, other = Silero(), Silero()
    found = []
    for at in range(0, len(pcm) - 511, 512):
        found.append(one.probability(pcm[at : at + 512]))
        other.probability(np.zeros(512, np.int16))
    np.testing.assert_allclose(found, alone, atol=1e-6)


def test_it_starts_no_thread_and_leaves_the_environment_as_it_was() -> None:
    script = (
        "import os, numpy as np\n"
        "from pathlib import Path\n"
        "from media_plane.dsp.silero import Silero\n"
        "detector = Silero()\n"
        "for _ in range(20): detector.probability(np.full(512, 1000, np.int16))\n"
        "tasks = Path('/proc/self/task')\n"
        "names = [(task / 'comm').read_text() for task in tasks.iterdir()] if tasks.exists() else ['']\n"
        "print(len(names), os.environ.get('OMP_THREAD_LIMIT'))\n"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    environment.pop("OMP_THREAD_LIMIT", None)
    told = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["1", "None"]
