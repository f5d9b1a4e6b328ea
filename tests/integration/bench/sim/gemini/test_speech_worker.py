"""Hearing and voice in their process, with the real models."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from bench.sim.speech.errors import SpeechUnavailable
from bench.sim.speech.worker import SpeechWorker
from tests.support.processes import until_gone

pytestmark = pytest.mark.speech

AUDIO = Path(__file__).parents[5] / "bench" / "audio"


@pytest.fixture(scope="module")
async def worker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SpeechWorker]:
    speech = SpeechWorker(cache_dir=tmp_path_factory.mktemp("sentences"))
    await speech.start()
    await speech.ready()
    yield speech
    await speech.close()


async def test_what_it_says_it_can_hear(worker: SpeechWorker) -> None:
    pcm = await worker.say("The train leaves at seven in the morning.", 16_000)
    assert 1.5 < pcm.size / 16_000 < 4
    heard = (await worker.hear(pcm)).lower()
    assert "train leaves at seven in the morning" in heard.replace("7", "seven").replace(",", "")


async def test_it_hears_a_human(worker: SpeechWorker) -> None:
    with wave.open(str(AUDIO / "austen-0870.wav"), "rb") as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    heard = await worker.listen(pcm)
    assert "had then leisure to consider how much" in heard.text
    assert heard.ms > 0


async def test_silence_and_clicks_are_no_words(worker: SpeechWorker) -> None:
    assert await worker.hear(np.zeros(100, np.int16)) == ""


async def test_the_same_words_are_the_same_samples_at_any_rate(worker: SpeechWorker) -> None:
    first = await worker.say("Same again.", 24_000)
    assert await worker.say("Same again.", 24_000) is first
    other = SpeechWorker(hearing=False)
    await other.start()
    again = await other.say("Same again.", 24_000)
    telephone = await other.say("Same again.", 8_000)
    with pytest.raises(SpeechUnavailable, match="without hear"):
        await other.hear(np.zeros(16_000, np.int16))
    await other.close()
    assert (again == first).all()
    assert abs(telephone.size * 3 - first.size) < 24 * 10


async def test_hearing_overtakes_speech_that_waits(worker: SpeechWorker) -> None:
    done: list[str] = []

    async def say(number: int) -> None:
        await worker.say(f"This is sentence number {number}.", 24_000)
        done.append("said")

    async def hear() -> None:
        await worker.hear(np.zeros(16_000, np.int16))
        done.append("heard")

    await asyncio.gather(*(say(number) for number in range(4)), hear())
    assert done.index("heard") <= 1  # at most the sentence that had begun comes first


async def test_a_hearing_that_is_cancelled_is_skipped(worker: SpeechWorker) -> None:
    jobs = [asyncio.create_task(worker.hear(np.zeros(16_000, np.int16))) for _ in range(3)]
    await asyncio.sleep(0)
    jobs[1].cancel()
    results = await asyncio.gather(*jobs, return_exceptions=True)
    assert isinstance(results[1], asyncio.CancelledError)
    assert isinstance(results[2], str)


async def test_the_process_ends_with_whoever_started_it() -> None:
    code = (
        "import asyncio\n"
        "from bench.sim.speech.worker import SpeechWorker\n"
        "async def main():\n"
        "    worker = SpeechWorker(hearing=False)\n"
        "    await worker.start()\n"
        "    print(worker.pid, flush=True)\n"
        "    await worker.ended()\n"
        "asyncio.run(main())"
    )
    owner = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert owner.stdout is not None
    pid = int(await owner.stdout.readline())
    owner.kill()
    await owner.wait()
    await until_gone([pid])


async def test_when_the_process_dies_everything_fails_in_words() -> None:
    speech = SpeechWorker(hearing=False)
    await speech.start()
    await speech.ready()
    assert speech.pid is not None
    os.kill(speech.pid, signal.SIGKILL)
    await asyncio.wait_for(speech.ended(), 5)
    with pytest.raises(SpeechUnavailable, match="not running"):
        await speech.say("hello", 24_000)
    await speech.close()
