"""G.711 μ-law, bit for bit: every code and every sample, against ITU-T G.191's loops."""

from __future__ import annotations

import numpy as np

from media_plane.dsp.g711 import compress, expand


def g191_compress(sample: int) -> int:
    """`ulaw_compress` of the ITU-T Software Tool Library, one sample, line by line."""
    absolute = ((~sample) >> 2) + 33 if sample < 0 else (sample >> 2) + 33
    absolute = min(absolute, 0x1FFF)
    rest, segment = absolute >> 6, 1
    while rest:
        segment += 1
        rest >>= 1
    high = 0x08 - segment
    low = 0x0F - ((absolute >> segment) & 0x0F)
    return (high << 4) | low | (0x80 if sample >= 0 else 0)


def g191_expand(code: int) -> int:
    """`ulaw_expand` of the ITU-T Software Tool Library, one code, line by line."""
    sign = -1 if code < 0x80 else 1
    mantissa = ~code
    exponent = (mantissa >> 4) & 0x07
    segment = exponent + 1
    mantissa &= 0x0F
    step = 4 << segment
    return sign * ((0x80 << exponent) + step * mantissa + step // 2 - 4 * 33)


def test_all_256_codes_expand_as_the_itu_s_software_does() -> None:
    expected = [g191_expand(code) for code in range(256)]
    assert expand(np.arange(256, dtype=np.uint8)).tolist() == expected


def test_all_65536_samples_compress_as_the_itu_s_software_does() -> None:
    samples = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)
    expected = [g191_compress(sample) for sample in range(-32768, 32768)]
    assert compress(samples).tolist() == expected


def test_every_code_survives_a_round_trip_but_for_negative_zero() -> None:
    codes = np.arange(256, dtype=np.uint8)
    again = compress(expand(codes))
    assert [code for code in codes.tolist() if again[code] != code] == [0x7F]
    assert again[0x7F] == 0xFF


def test_landmarks_of_the_standard() -> None:
    assert expand(np.array([0xFF, 0x7F, 0x80, 0x00], np.uint8)).tolist() == [0, 0, 32124, -32124]
    assert compress(np.array([0, 32767, -32768], np.int16)).tolist() == [0xFF, 0x80, 0x00]
