"""The fused kernels' filters, measured by running the kernels on sound, base64 in, base64 out."""

from __future__ import annotations

import numpy as np
import pytest

from bench.micro import response
from media_plane.dsp import kernels
from media_plane.dsp.codec import KernelCodecs
from media_plane.dsp.filters import DOWN_DELAY_MS, PASS_HZ, STOP_HZ, UP_DELAY_MS
from media_plane.dsp.g711 import compress, expand
from tests.support.codec_streams import Down, Pcm, Up


def over_mulaw(pcm: Pcm) -> Pcm:
    return expand(compress(pcm))


def uplink() -> response.Response:
    up = Up(KernelCodecs())
    return response.measure(
        lambda pcm: up.send(compress(pcm).tobytes()), 8000, 16_000, 160, carried=over_mulaw
    )


def downlink() -> response.Response:
    """Of the samples before μ-law: its steps would hide what is 60 dB down."""
    codecs = KernelCodecs()
    down = Down(codecs)

    def filtered(pcm: Pcm) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        samples = len(down.send(pcm.tobytes()))
        floats = memoryview(down.link.buffer)[kernels.FILTERED_AT : kernels.FILTERED_AT + 4 * samples]
        return np.frombuffer(floats, np.float32).copy()

    return response.measure(filtered, 24_000, 8000, 960)


CASES = [
    pytest.param(uplink, UP_DELAY_MS, id="uplink"),
    # By the streams' own time: a sample comes out with the last of the three that went in for it.
    pytest.param(downlink, DOWN_DELAY_MS - 2 / 24, id="downlink"),
]


@pytest.mark.parametrize(("run", "delay_ms"), CASES)
def test_the_live_filters_keep_to_their_table(run: type[response.Response], delay_ms: float) -> None:
    heard = run()
    assert heard.ripple_db(PASS_HZ) <= 0.15
    assert abs(heard.db[heard.hz <= PASS_HZ]).max() <= 0.15
    assert heard.rejection_db(STOP_HZ) >= 60
    hz, group_ms = heard.group_delay()
    assert group_ms[(hz > 50) & (hz < PASS_HZ)] == pytest.approx(delay_ms, abs=0.02)
