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


# ITU-T G.711, table 2a: the positive decision values of μ-law in units of 1/8159 of the overload point. The
# first interval is half a step of 2; then 15 steps of 2, and 16 steps each of 4, 8, … 256.
DECISIONS = np.cumsum([0, 1, *[2] * 15, *np.repeat([4, 8, 16, 32, 64, 128, 256], 16)])
VALUES = np.array([0, *(DECISIONS[1:-1] + DECISIONS[2:]) // 2])  # "decoder output value numbers" 1 to 128


def test_the_tables_of_the_recommendation_end_where_it_says() -> None:
    assert (len(DECISIONS), DECISIONS[-1]) == (129, 8159)
    assert (len(VALUES), VALUES[-1]) == (128, 8031)


def test_every_code_expands_to_the_recommendation_s_output_value() -> None:
    # All bits but the sign's are inverted: value number 0 is 1111 1111, number 127 is 1000 0000.
    codes = np.arange(128, dtype=np.uint8)
    assert np.array_equal(expand(255 - codes), 4 * VALUES)
    assert np.array_equal(expand(127 - codes), -4 * VALUES)


def test_every_sample_compresses_into_the_recommendation_s_interval() -> None:
    samples = np.arange(-32_768, 32_768)
    number = np.minimum(np.searchsorted(4 * DECISIONS, np.abs(samples), side="right") - 1, 127)
    expected = np.where(samples < 0, 127 - number, 255 - number)
    codes = compress(samples.astype(np.int16)).astype(int)
    # The recommendation leaves the decision values themselves open; G.191 puts the negative ones inwards.
    open_to_choice = np.isin(-samples, 4 * DECISIONS[1:-1])
    assert open_to_choice.sum() == 127
    assert np.array_equal(codes[~open_to_choice], expected[~open_to_choice])
    assert np.array_equal(codes[open_to_choice], expected[open_to_choice] + 1)
