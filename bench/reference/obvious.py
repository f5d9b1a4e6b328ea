"""A frame each way as Python is usually written: json, base64, μ-law by numpy table, SOXR HQ streams."""

from __future__ import annotations

import base64
import json
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from bench.load.signal import ulaw_encode, ulaw_table

DECODE: Final = ulaw_table()
ENCODE: Final = ulaw_encode(np.arange(-32768, 32768).astype(np.int16))  # index: sample + 32768


class ToModel:
    """Twilio's payload → int16 PCM at 16 kHz, as much as SOXR lets go."""

    def __init__(self) -> None:
        self._resampler = soxr.ResampleStream(8000, 16000, 1, dtype="int16", quality="HQ")

    def pcm(self, payload: str) -> bytes:
        codes = np.frombuffer(base64.b64decode(payload), np.uint8)
        wide: NDArray[np.int16] = self._resampler.resample_chunk(DECODE[codes])
        return wide.tobytes()

    def message(self, message: str) -> str:
        """Twilio's media message → the model's."""
        data = base64.b64encode(self.pcm(json.loads(message)["media"]["payload"])).decode()
        audio = {"data": data, "mimeType": "audio/pcm;rate=16000"}
        return json.dumps({"realtimeInput": {"audio": audio}})


class ToPhone:
    """int16 PCM at 24 kHz → Twilio's payload, as much as SOXR lets go."""

    def __init__(self) -> None:
        self._resampler = soxr.ResampleStream(24000, 8000, 1, dtype="int16", quality="HQ")

    def payload(self, pcm: bytes) -> str:
        narrow: NDArray[np.int16] = self._resampler.resample_chunk(np.frombuffer(pcm, np.int16))
        return base64.b64encode(ENCODE[narrow.astype(np.int32) + 32768].tobytes()).decode()

    def message(self, message: bytes, stream_sid: str) -> str:
        """The model's message of one audio part → Twilio's."""
        part = json.loads(message)["serverContent"]["modelTurn"]["parts"][0]
        return media(stream_sid, self.payload(base64.b64decode(part["inlineData"]["data"])))


def media(stream_sid: str, payload: str) -> str:
    return json.dumps({"event": "media", "streamSid": stream_sid, "media": {"payload": payload}})
