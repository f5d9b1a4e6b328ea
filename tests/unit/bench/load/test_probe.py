"""The probe finds in a message what its slow twin finds in the bytes."""

import base64

import numpy as np
import pytest

from bench.load import probe, signal


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("burst", [False, True])
def test_a_probe_agrees_with_its_slow_twin(seed: int, burst: bool) -> None:
    for encoded, fast, slow in (
        (signal.ulaw_frame(seed, burst=burst), probe.onset_in_ulaw, signal.onset_in_ulaw),
        (signal.pcm_chunk(seed, burst=burst), probe.onset_in_pcm, signal.onset_in_pcm),
    ):
        message = b'{"data":"' + encoded + b'"}'
        end = 9 + len(encoded.rstrip(b"="))
        assert fast(message, 9, end) == slow(base64.b64decode(encoded))


@pytest.mark.parametrize("length", [0, 1, 2, 3, 159, 161])
@pytest.mark.parametrize("loud_at", [0, 1, 2, 157, 160])
def test_a_probe_finds_any_sample_of_any_length_in_either_alphabet(length: int, loud_at: int) -> None:
    codes = np.full(length, 0xFF, np.uint8)
    pcm = np.zeros(length, np.int16)
    if loud_at < length:
        codes[loud_at], pcm[loud_at] = 0x80, -signal.LOUD
    expected = loud_at if loud_at < length else -1
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for data, onset in ((codes, probe.onset_in_ulaw), (pcm, probe.onset_in_pcm)):
            text = encode(data.tobytes()).rstrip(b"=")
            assert onset(text, 0, len(text)) == expected
