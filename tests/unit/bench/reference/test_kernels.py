"""The relay's kernels are a fair ceiling only if they do the whole job."""

import base64

import numpy as np
import pytest

from bench.load import signal
from bench.reference import kernels
from bench.reference.obvious import ToModel


def tone(rate: int, ms: int) -> signal.Pcm:
    return (8000 * np.sin(2 * np.pi * 1000 * np.arange(rate * ms // 1000) / rate)).astype(np.int16)


def level(pcm: signal.Pcm, rate: int) -> float:
    """Amplitude of the 1 kHz in the second half, where every filter has settled."""
    half = pcm[pcm.size // 2 :].astype(float)
    wave = np.exp(-2j * np.pi * 1000 * np.arange(half.size) / rate)
    return float(2 * abs((half * wave).mean()))


def test_up_makes_16_khz_of_the_callers_tone() -> None:
    up, out, heard = kernels.Up(), np.zeros(4096, np.uint8), bytearray()
    codes = signal.ulaw_encode(tone(8000, 200)).tobytes()
    for frame in range(10):
        end = up.into(base64.b64encode(codes[160 * frame : 160 * frame + 160]), out, 3)
        heard += base64.b64decode(out[3:end].tobytes(), validate=True)
    pcm = np.frombuffer(bytes(heard), np.int16)
    assert pcm.size == 3200
    assert level(pcm, 16000) == pytest.approx(8000, rel=0.03)


@pytest.mark.parametrize("ms", [20, 40, 100])
def test_down_makes_8_khz_of_the_models_tone(ms: int) -> None:
    down, out, heard = kernels.Down(), np.zeros(8192, np.uint8), bytearray()
    pcm = tone(24000, 400).tobytes()
    for at in range(0, len(pcm), 48 * ms):
        end = down.into(base64.b64encode(pcm[at : at + 48 * ms]), out, 0)
        heard += base64.b64decode(out[:end].tobytes(), validate=True)
    narrow = signal.ulaw_table()[np.frombuffer(bytes(heard), np.uint8)]
    assert narrow.size == 3200
    assert level(narrow, 8000) == pytest.approx(8000, rel=0.03)


def test_up_and_plain_python_agree_but_for_delay() -> None:
    frames = [signal.ulaw_frame(seed, burst=seed == 4) for seed in range(16)]
    up, out, ours = kernels.Up(), np.zeros(4096, np.uint8), bytearray()
    obvious, theirs = ToModel(), b""
    for frame in frames:
        ours += base64.b64decode(out[: up.into(frame, out, 0)].tobytes())
        theirs += obvious.pcm(frame.decode())
    late = signal.onset_in_pcm(bytes(ours)) - signal.onset_in_pcm(theirs)
    a = np.frombuffer(bytes(ours), np.int16)[late : len(theirs) // 2].astype(float)
    b = np.frombuffer(theirs, np.int16)[: a.size].astype(float)
    assert late in (23, 24)  # 48 taps delay by 23.5 samples: the tone is half a sample off either way
    assert np.corrcoef(a, b)[0, 1] > 0.97
