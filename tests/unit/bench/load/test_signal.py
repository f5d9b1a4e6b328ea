"""The bench's own μ-law and bursts: what measures must be right by itself."""

import base64

import numpy as np
import pytest

from bench.load import signal


def test_ulaw_encoding_inverts_the_table_for_every_code() -> None:
    codes = np.arange(256, dtype=np.uint8)
    again = signal.ulaw_encode(signal.ulaw_table())
    again[again == 0xFF] = 0x7F  # the two zeros are one sample
    expected = codes.copy()
    expected[expected == 0xFF] = 0x7F
    np.testing.assert_array_equal(again, expected)


def test_ulaw_table_has_the_values_of_g711() -> None:
    table = signal.ulaw_table()
    assert [table[code] for code in (0x00, 0x80, 0x7F, 0xFF, 0x01)] == [-32124, 32124, 0, 0, -31100]


def test_ulaw_encoding_picks_the_nearest_sample_of_the_segment() -> None:
    pcm = np.arange(-32768, 32768, 7).astype(np.int16)
    error = np.abs(signal.ulaw_table()[signal.ulaw_encode(pcm)].astype(int) - np.clip(pcm, -32124, 32124))
    assert (error <= 4 + np.abs(pcm.astype(int)) // 16).all()


@pytest.mark.parametrize("seed", range(8))
def test_a_burst_is_found_at_its_first_samples_and_noise_is_not(seed: int) -> None:
    loud_frame = base64.b64decode(signal.ulaw_frame(seed, burst=True))
    loud_chunk = base64.b64decode(signal.pcm_chunk(seed, burst=True))
    assert (len(loud_frame), len(loud_chunk)) == (160, 1920)
    assert 0 < signal.onset_in_ulaw(loud_frame) <= 1
    assert 0 < signal.onset_in_pcm(loud_chunk) <= 2
    assert signal.onset_in_ulaw(base64.b64decode(signal.ulaw_frame(seed))) == -1
    assert signal.onset_in_pcm(base64.b64decode(signal.pcm_chunk(seed))) == -1


def test_an_empty_or_odd_payload_has_no_onset() -> None:
    assert signal.onset_in_ulaw(b"") == -1
    assert signal.onset_in_pcm(b"") == -1
    assert signal.onset_in_pcm(b"\x00") == -1
