"""The newest caller audio is kept where it is encoded, to be said again to another session."""

from __future__ import annotations

from base64 import b64encode

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_plane.dsp.codec import KEPT, Codecs, KernelCodecs
from media_plane.dsp.plain import PlainCodecs

ALL = [KernelCodecs(16000), KernelCodecs(8000), PlainCodecs("fir"), PlainCodecs("fir", 8000)]
NAMES = ["kernel", "kernel-8k", "plain", "plain-8k"]


@pytest.mark.parametrize("codecs", ALL, ids=NAMES)
@settings(max_examples=25, deadline=None)
@given(
    pieces=st.lists(st.integers(0, 1602), max_size=100),
    asked=st.integers(0, 2 * KEPT),
    seed=st.integers(0, 9),
)
def test_what_is_kept_is_the_newest_that_was_encoded(
    codecs: Codecs, pieces: list[int], asked: int, seed: int
) -> None:
    audio = np.random.default_rng(seed)
    uplink = codecs.uplink(b"{")
    everything = b""
    for size in pieces:
        ulaw = audio.integers(0, 256, size, np.uint8).tobytes()
        text = b64encode(ulaw)
        assert uplink.encode(text, 0, len(text), 1) >= 0
        everything += ulaw
    there = min(asked, KEPT, len(everything))
    assert uplink.recent(asked) == everything[len(everything) - there :]


@pytest.mark.parametrize("codecs", ALL, ids=NAMES)
def test_what_is_refused_is_not_kept_and_a_new_shape_forgets_nothing(codecs: Codecs) -> None:
    uplink = codecs.uplink(b"{")
    text = b64encode(bytes(range(160)))
    uplink.encode(text, 0, len(text), 1)
    assert uplink.encode(b"!!!!", 0, 4, 2) == -1
    uplink.expect(b'{"a":"', b'"}')
    assert uplink.recent(1000) == bytes(range(160))
