"""Said sentences, kept in memory and on disk, so that the second run speaks at once."""

from __future__ import annotations

import hashlib
import os
import tempfile
import wave
from collections import OrderedDict
from pathlib import Path

import numpy as np
import numpy.typing as npt

_MEMORY_LIMIT = 64 * 2**20  # bytes; about 20 minutes of speech at 24 kHz


class SentenceCache:
    """Speech by (text, rate). `directory` None keeps it in memory only.

    On disk a sentence is a WAV file whose name is a digest of voice, rate and text, so a new voice never
    finds an old one's sentences. Unreadable files count as absent and are replaced.
    """

    def __init__(self, directory: Path | None, voice_id: str) -> None:
        self._directory = directory
        self._voice_id = voice_id
        self._memory: OrderedDict[tuple[str, int], npt.NDArray[np.int16]] = OrderedDict()
        self._memory_bytes = 0
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)

    def get(self, text: str, rate: int) -> npt.NDArray[np.int16] | None:
        """The sentence, read-only, or None."""
        key = (text, rate)
        if (pcm := self._memory.get(key)) is not None:
            self._memory.move_to_end(key)
            return pcm
        pcm = self._read(self.path(text, rate), rate)
        if pcm is not None:
            self._remember(key, pcm)
        return pcm

    def put(self, text: str, rate: int, pcm: npt.NDArray[np.int16]) -> None:
        """Keep a sentence in memory."""
        self._remember((text, rate), pcm)

    def path(self, text: str, rate: int) -> Path | None:
        """Where this sentence lies on disk, whether or not it exists; None without a directory."""
        if self._directory is None:
            return None
        digest = hashlib.sha256(f"{self._voice_id}\0{rate}\0{text}".encode()).hexdigest()[:32]
        return self._directory / f"{digest}.wav"

    def _remember(self, key: tuple[str, int], pcm: npt.NDArray[np.int16]) -> None:
        if (old := self._memory.pop(key, None)) is not None:
            self._memory_bytes -= old.nbytes
        pcm.flags.writeable = False  # shared by every session that says this sentence
        self._memory[key] = pcm
        self._memory_bytes += pcm.nbytes
        while self._memory_bytes > _MEMORY_LIMIT and len(self._memory) > 1:
            _, dropped = self._memory.popitem(last=False)
            self._memory_bytes -= dropped.nbytes

    @staticmethod
    def _read(path: Path | None, rate: int) -> npt.NDArray[np.int16] | None:
        if path is None:
            return None
        try:
            with wave.open(str(path), "rb") as file:
                if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (rate, 1, 2):
                    return None
                return np.frombuffer(file.readframes(file.getnframes()), np.int16).copy()
        except (OSError, EOFError, wave.Error):
            return None


def write_sentence(path: Path, rate: int, pcm: npt.NDArray[np.int16]) -> None:
    """Write a WAV file so that a reader sees all of it or none."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(handle, "wb") as raw, wave.open(raw, "wb") as file:
        file.setframerate(rate)
        file.setnchannels(1)
        file.setsampwidth(2)
        file.writeframes(pcm.tobytes())
    Path(temporary).replace(path)
