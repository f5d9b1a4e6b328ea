"""Telephone audio sent to the model as it is: μ-law to 16-bit PCM at 8 kHz, exactly and without a filter."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_plane.dsp.codec import Codecs, KernelCodecs
from media_plane.dsp.g711 import compress, expand
from media_plane.dsp.plain import PlainCodecs
from media_plane.dsp.warmup import warm_up
from tests.support.codec_streams import Up, tone

KERNEL, TWIN = KernelCodecs(8000), PlainCodecs("fir", 8000)
BOTH = pytest.mark.parametrize("codecs", [KERNEL, TWIN], ids=["kernel", "twin"])


@BOTH
def test_every_code_reaches_the_model_as_its_own_sample(codecs: Codecs) -> None:
    codes = np.arange(256, dtype=np.uint8)
    assert np.array_equal(Up(codecs).send(codes.tobytes()), expand(codes))
    assert codecs.uplink_rate == 8000


@settings(deadline=None, max_examples=60)
@given(frames=st.lists(st.binary(max_size=1602), max_size=6))
def test_frames_of_any_length_arrive_whole_and_in_order(frames: list[bytes]) -> None:
    kernel, twin = Up(KERNEL), Up(TWIN)
    for ulaw in frames:
        expected = expand(np.frombuffer(ulaw, np.uint8))
        assert np.array_equal(kernel.send(ulaw), expected)
        assert np.array_equal(twin.send(ulaw), expected)
        assert kernel.result >> 32 == twin.result >> 32  # level and samples


@BOTH
def test_level_and_samples_are_the_8_khz_samples(codecs: Codecs) -> None:
    up, ulaw = Up(codecs), compress(tone(400, 160, 8000, 10_000))
    up.send(ulaw.tobytes())
    assert up.result >> 48 == np.abs(expand(ulaw).astype(int)).sum() // 160
    assert up.result >> 32 & 0xFFFF == 160


@BOTH
@pytest.mark.parametrize("text", ["A", "AAA~", "====", "AA==AAAA", "AAA\n"])
def test_what_is_not_base64_is_declined(codecs: Codecs, text: str) -> None:
    up = Up(codecs)
    assert up.link.encode(text.encode(), 0, len(text), 0) == -1
    assert len(up.send(b"\xff" * 160)) == 160


@BOTH
def test_what_does_not_fit_the_workspace_is_declined(codecs: Codecs) -> None:
    link = Up(codecs).link
    data = base64.b64encode(bytes(3000))
    assert link.encode(data, 0, link.max_chars, 0) > 0
    assert link.encode(data, 0, link.max_chars + 4, 0) == -1


def test_both_rates_share_a_process_and_warm_up() -> None:
    for codecs in (KernelCodecs(8000), KernelCodecs(16000), PlainCodecs("soxr-qq", 8000)):
        warm_up(codecs)
        assert len(Up(codecs).send(b"\xff" * 160)) == 160 * codecs.uplink_rate // 8000


@pytest.mark.parametrize("make", [KernelCodecs, lambda rate: PlainCodecs("fir", rate)])
def test_another_rate_is_a_mistake(make: type[KernelCodecs]) -> None:
    with pytest.raises(ValueError, match="uplink_rate must be one of"):
        make(24_000)
