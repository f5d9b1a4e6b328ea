"""Who answers the demo's call: a callee with a recorded human voice.

The default callee listens to the greeting, says one sentence, speaks over the agent's answer with another
and hangs up when that has been answered too. `--audio FILE` puts one recording in place of both.
"""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

AUDIO = Path(__file__).resolve().parent.parent / "audio"
RATE = 16000  # Hz, of the clips handed to the Twilio simulator

FIRST = AUDIO / "austen-0880.wav"  # "he was not an ill disposed young man"
SECOND = AUDIO / "austen-0890.wav"  # "unless to be rather cold hearted and rather selfish is …"
FIRST_BEGINS_S = 0.2  # its first word comes then
SECOND_BEGINS_S, SECOND_ENDS_S = 0.2, 2.36  # from its first word to the breath after "cold hearted"
BARGE_IN_AFTER_MS = 700
ANSWERED_AFTER_MS = 1300  # one ring: long enough for the greeting to be ready


def decode(source: Path, *, from_s: float = 0.0, until_s: float | None = None) -> npt.NDArray[np.int16]:
    """Any audio file FFmpeg reads, as int16 mono at 16 kHz; of it the span from `from_s` to `until_s`.

    Raises ValueError naming the file when it holds no audio.
    """
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE)
    frames: list[av.AudioFrame] = []
    try:
        with av.open(str(source)) as container:
            for frame in container.decode(audio=0):
                frames += resampler.resample(frame)
            frames += resampler.resample(None)
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(f"{source} is not an audio file: {error}") from error
    if not frames:
        raise ValueError(f"{source} holds no audio")
    samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.int16)
    return samples[int(from_s * RATE) : None if until_s is None else int(until_s * RATE)]


def write_wav(path: Path, samples: npt.NDArray[np.int16]) -> Path:
    """Mono int16 at 16 kHz into `path`."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.tobytes())
    return path


def _after_the_agent(action: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"wait": "agent_starts", "timeout_ms": 20_000},
        {"wait": "agent_stops", "for_ms": 300, "timeout_ms": 30_000},
        action,
    ]


def persona(audio: Path | None, scratch: Path) -> dict[str, Any]:
    """The callee's script, as the Twilio simulator's admin API takes it. Clips are written into `scratch`."""
    if audio is not None:
        clip = write_wav(scratch / "callee.wav", decode(audio))
        script = _after_the_agent({"play": str(clip)})
    else:
        first = write_wav(scratch / "callee-1.wav", decode(FIRST, from_s=FIRST_BEGINS_S))
        second = write_wav(
            scratch / "callee-2.wav", decode(SECOND, from_s=SECOND_BEGINS_S, until_s=SECOND_ENDS_S)
        )
        script = [
            *_after_the_agent({"play": str(first)}),
            {"barge_in": {"play": str(second)}, "after_ms": BARGE_IN_AFTER_MS},
        ]
    script += _after_the_agent({"hangup": True})
    return {
        "answer_after_ms": ANSWERED_AFTER_MS,
        "outcome": "answer",
        "answered_by": "human",
        "script": script,
    }
