"""The simulator's own μ-law against ITU-T G.711, table 2a, written out from the recommendation's rule."""

from __future__ import annotations

import numpy as np

from bench.sim.twilio import mulaw


def g711_table() -> tuple[list[int], list[int]]:
    """(decision values, output values) of the positive side, in G.711's 14-bit units."""
    decisions, outputs = [0], [0]
    edge = 1
    for segment in range(8):
        step = 2 << segment
        for _ in range(15 if segment == 0 else 16):
            decisions.append(edge)
            edge += step
            outputs.append((decisions[-1] + edge) // 2)
    return decisions, outputs


def test_the_table_has_the_recommendations_corner_values() -> None:
    decisions, outputs = g711_table()
    assert (len(decisions), decisions[1], decisions[16], decisions[-1]) == (128, 1, 35 - 4, 7903)
    assert (outputs[1], outputs[-1]) == (2, 8031)


def test_all_256_codes_decode_to_the_recommendations_output_values() -> None:
    _, outputs = g711_table()
    for level, value in enumerate(outputs):
        assert mulaw.DECODE[0xFF - level] == 4 * value
        assert mulaw.DECODE[0x7F - level] == -4 * value


def test_all_65536_values_encode_by_the_recommendations_decision_values() -> None:
    decisions, _ = g711_table()
    pcm = np.arange(-32768, 32768).astype(np.int16)
    level = np.searchsorted(4 * np.array(decisions), np.abs(pcm.astype(int)), side="right") - 1
    expected = np.where(pcm < 0, 0x7F, 0xFF) - level
    assert np.array_equal(np.frombuffer(mulaw.encode(pcm), np.uint8), expected)


def test_every_code_survives_decoding_and_encoding_but_negative_zero() -> None:
    codes = bytes(range(256))
    assert mulaw.encode(mulaw.decode(codes)) == codes.replace(b"\x7f", b"\xff")


def test_silence_is_0xff() -> None:
    assert mulaw.encode(np.zeros(mulaw.FRAME, np.int16)) == mulaw.SILENT_FRAME == b"\xff" * 160
