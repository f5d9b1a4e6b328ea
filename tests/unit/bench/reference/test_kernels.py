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


def audio(message: bytearray, head: bytes, tail: bytes) -> bytes:
    """What a message carries; its head and tail are checked."""
    text = bytes(message[kernels.ROOM :])
    assert text.startswith(head)
    assert text.endswith(tail)
    return base64.b64decode(text[len(head) : len(text) - len(tail)], validate=True)


def test_up_makes_16_khz_of_the_callers_tone() -> None:
    up, heard = kernels.Up(b"head", b"tail"), bytearray()
    codes = signal.ulaw_encode(tone(8000, 200)).tobytes()
    for frame in range(10):
        message = up.fill(b"xyz" + base64.b64encode(codes[160 * frame : 160 * frame + 160]), 3)
        heard += audio(message, b"head", b"tail")
        message[:] = b"\xa5" * len(message)  # as masking leaves it
    pcm = np.frombuffer(bytes(heard), np.int16)
    assert pcm.size == 3200
    assert level(pcm, 16000) == pytest.approx(8000, rel=0.03)


def test_down_makes_8_khz_of_the_models_tone() -> None:
    down, heard = kernels.Down(b"head of odd length", b"tail"), bytearray()
    pcm = tone(24000, 400).tobytes()
    for at in range(0, len(pcm), 1920):
        message = down.fill(b'"' + base64.b64encode(pcm[at : at + 1920]), 1)
        heard += audio(message, b"head of odd length", b"tail")
    narrow = signal.ulaw_table()[np.frombuffer(bytes(heard), np.uint8)]
    assert narrow.size == 3200
    assert level(narrow, 8000) == pytest.approx(8000, rel=0.03)


def test_up_and_plain_python_agree_but_for_delay() -> None:
    frames = [signal.ulaw_frame(seed, burst=seed == 4) for seed in range(16)]
    up, ours = kernels.Up(b"", b""), bytearray()
    obvious, theirs = ToModel(), b""
    for frame in frames:
        ours += audio(up.fill(frame, 0), b"", b"")
        theirs += obvious.pcm(frame.decode())
    late = signal.onset_in_pcm(bytes(ours)) - signal.onset_in_pcm(theirs)
    a = np.frombuffer(bytes(ours), np.int16)[late : len(theirs) // 2].astype(float)
    b = np.frombuffer(theirs, np.int16)[: a.size].astype(float)
    assert late in (22, 23, 24)  # 47 taps delay by 23 samples
    assert np.corrcoef(a, b)[0, 1] > 0.97
