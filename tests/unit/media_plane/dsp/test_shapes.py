"""A kernel that looks for the audio itself finds it where a regular expression does, or not at all."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_plane.dsp.codec import OFFSET, SHAPED, KernelCodecs
from media_plane.dsp.kernels import MAX_SHAPE
from tests.support.shapes import find

KERNEL = KernelCodecs()
SHAPES = [(b'{"a":"', b'"}'), (b'"n":"\0","p":"', b'"}}'), (b"\0,", b""), (b"\0x\0:", b"xx"), (b"x", b"x")]


def encoded(data: bytes, start: int, end: int, shape: tuple[bytes, bytes]) -> bytes | int:
    """What a new uplink sends for a message, or what it answers when it sends nothing."""
    up = KERNEL.uplink(b"head")
    up.expect(*shape)
    result = up.encode(data, start, end, 0)
    return bytes(up.buffer[result & OFFSET :]) if result > 0 else result


digits = st.integers(0, 21).map(lambda count: b"0918273645"[: count % 11] + b"5" * max(count - 10, 0))
payload = st.binary(max_size=60).map(base64.b64encode) | st.binary(max_size=60)


@settings(deadline=None, max_examples=300)
@given(data=st.data(), shape=st.sampled_from(SHAPES))
def test_the_place_found_is_the_regular_expressions(data: st.DataObject, shape: tuple[bytes, bytes]) -> None:
    before = b"".join(data.draw(digits) if byte == 0 else bytes([byte]) for byte in shape[0])
    message = before + data.draw(payload) + shape[1]
    cut = data.draw(st.integers(0, len(message)))
    for text in (message, message[:cut], message[cut:], message + message):
        place = find(shape, text)
        expected = encoded(text, *place, shape) if place is not None else -1
        assert encoded(text, SHAPED, 0, shape) == expected


def test_without_a_shape_nothing_fits() -> None:
    data = base64.b64encode(bytes(160))
    assert encoded(data, SHAPED, 0, (b"", b"")) == -1
    assert encoded(data, 0, len(data), (b"", b"")) != -1


@pytest.mark.parametrize("shape", [(b"x" * (MAX_SHAPE + 1), b"y"), (b"x", b"y" * (MAX_SHAPE + 1))])
def test_a_shape_too_long_to_keep_is_no_shape(shape: tuple[bytes, bytes]) -> None:
    data = shape[0] + base64.b64encode(bytes(160)) + shape[1]
    assert encoded(data, SHAPED, 0, shape) == -1


def test_a_new_shape_or_head_keeps_the_audio_so_far() -> None:
    rng = np.random.default_rng(3)
    first, second = (
        base64.b64encode(rng.integers(-9000, 9000, 480).astype("<i2").tobytes()) for _ in range(2)
    )
    plain, changed = KERNEL.downlink(), KERNEL.downlink()
    for down in (plain, changed):
        assert down.decode(first, 0, len(first)) > 0
    changed.expect(b"[", b"]")
    changed.address(b"head")
    samples = plain.decode(second, 0, len(second)) >> 32
    expected = plain.ulaw(samples)
    assert changed.decode(b"[" + second + b"]", SHAPED, 0) >> 32 == samples
    assert changed.ulaw(samples) == expected
