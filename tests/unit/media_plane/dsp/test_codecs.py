"""The frame codecs, base64 in, base64 out: the same tests for the fused kernels and their plain twins."""

from __future__ import annotations

import base64
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media_plane.dsp.codec import Codecs, KernelCodecs
from media_plane.dsp.filters import DOWN_DELAY_MS, UP_DELAY_MS
from media_plane.dsp.g711 import compress, expand
from media_plane.dsp.plain import PlainCodecs
from media_plane.dsp.warmup import warm_up
from tests.support.codec_streams import Down, Pcm, Up, lag_ms, level_db, tone

KERNEL, TWIN = KernelCodecs(), PlainCodecs("fir")
BOTH = pytest.mark.parametrize("codecs", [KERNEL, TWIN], ids=["kernel", "twin"])


def through_up(codecs: Codecs, pcm8k: Pcm) -> Pcm:
    """In 20 ms frames, as Twilio sends them."""
    up, ulaw = Up(codecs), compress(pcm8k).tobytes()
    return np.concatenate([up.send(ulaw[i : i + 160]) for i in range(0, len(ulaw), 160)])


def through_down(codecs: Codecs, pcm24k: Pcm) -> Pcm:
    """In 40 ms parts."""
    down, pcm = Down(codecs), pcm24k.tobytes()
    ulaw = b"".join(down.send(pcm[i : i + 1920]) for i in range(0, len(pcm), 1920))
    return expand(np.frombuffer(ulaw, np.uint8))


@BOTH
def test_a_caller_s_tone_reaches_the_model_clean(codecs: Codecs) -> None:
    heard = through_up(codecs, tone(1000, 16_000, 8000))[8000:24_000]
    tone_db = level_db(heard, 1000, 16_000)
    assert tone_db == pytest.approx(20 * np.log10(8000), abs=0.1)
    # The mirror image that 8 kHz samples have at 7 kHz is gone.
    assert level_db(heard, 7000, 16_000) < tone_db - 60


@BOTH
def test_a_model_s_tone_reaches_the_caller_clean(codecs: Codecs) -> None:
    heard = through_down(codecs, tone(1000, 48_000, 24_000))[4000:12_000]
    assert level_db(heard, 1000, 8000) == pytest.approx(20 * np.log10(8000), abs=0.2)


@BOTH
def test_neither_direction_holds_audio_back_beyond_its_filter_s_delay(codecs: Codecs) -> None:
    heard = through_up(codecs, tone(200, 8000, 8000))
    assert len(heard) == 16_000
    assert lag_ms(heard[4000:12_000], tone(200, 16_000, 16_000)[4000:12_000], 200, 16_000) == pytest.approx(
        UP_DELAY_MS, abs=0.01
    )
    heard = through_down(codecs, tone(200, 24_000, 24_000))
    assert len(heard) == 8000
    # A sample comes out with the last of the three that went in for it, two samples after the first.
    assert lag_ms(heard[2000:6000], tone(200, 8000, 8000)[2000:6000], 200, 8000) == pytest.approx(
        DOWN_DELAY_MS - 2 / 24, abs=0.01
    )


@BOTH
@pytest.mark.parametrize("hz", [4700, 5200, 7000, 9500])
def test_what_a_telephone_can_t_carry_does_not_fold_into_what_it_can(codecs: Codecs, hz: int) -> None:
    down = Down(codecs)
    pcm = tone(hz, 24_000, 24_000, 30_000).tobytes()
    heard = expand(np.frombuffer(down.send(pcm[:24_000]) + down.send(pcm[24_000:]), np.uint8))
    # μ-law's smallest step is 8: what is left lies within a few of them, 60 dB under full scale.
    assert np.abs(heard[200:].astype(int)).max() <= 32


@settings(deadline=None, max_examples=40)
@given(
    data=st.binary(min_size=1, max_size=1000),
    cuts=st.lists(st.integers(0, 1000), max_size=8),
)
def test_parts_cut_anywhere_sound_like_one_part(data: bytes, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for codecs in (KERNEL, TWIN):
        whole, cut = Down(codecs), Down(codecs)
        pieces = b"".join(cut.send(data[a:b]) for a, b in pairwise(bounds))
        assert pieces == whole.send(data)


@settings(deadline=None, max_examples=40)
@given(data=st.binary(max_size=1500), cuts=st.lists(st.integers(0, 1500), max_size=8))
def test_frames_cut_anywhere_sound_like_one_frame(data: bytes, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for codecs in (KERNEL, TWIN):
        whole, cut = Up(codecs), Up(codecs)
        pieces = [cut.send(data[a:b]) for a, b in pairwise(bounds)]
        assert np.array_equal(np.concatenate(pieces), whole.send(data))


@settings(deadline=None, max_examples=40)
@given(frames=st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=6))
def test_the_kernel_sends_the_model_what_its_twin_does_to_the_last_bit_but_one(frames: list[bytes]) -> None:
    kernel, twin = Up(KERNEL), Up(TWIN)
    for ulaw in frames:
        ours, theirs = kernel.send(ulaw), twin.send(ulaw)
        assert len(ours) == len(theirs) == 2 * len(ulaw)
        assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1
        assert kernel.result >> 32 == twin.result >> 32  # level and samples


@settings(deadline=None, max_examples=40)
@given(parts=st.lists(st.binary(min_size=1, max_size=2000), min_size=1, max_size=6))
def test_the_kernel_sends_the_caller_what_its_twin_does_to_one_code(parts: list[bytes]) -> None:
    kernel, twin = Down(KERNEL), Down(TWIN)
    for pcm in parts:
        ours, theirs = kernel.send(pcm), twin.send(pcm)
        assert len(ours) == len(theirs)
        # Float32 against float64 may round to the other side of a decision value: to the next code, which of
        # the smallest magnitude may be the other zero.
        a, b = (expand(np.frombuffer(ulaw, np.uint8)).astype(int) for ulaw in (ours, theirs))
        assert (np.abs(a - b) <= np.maximum(8, np.maximum(np.abs(a), np.abs(b)) // 16 + 8)).all()


@BOTH
def test_the_level_is_the_mean_amplitude(codecs: Codecs) -> None:
    up = Up(codecs)
    up.send(b"\xff" * 160)
    assert up.result >> 48 == 0
    ulaw = compress(tone(400, 160, 8000, 10_000))
    up.send(ulaw.tobytes())
    assert up.result >> 48 == np.abs(expand(ulaw).astype(int)).sum() // 160
    assert up.result >> 32 & 0xFFFF == 160
    up.send(b"\x00" * 160)
    assert up.result >> 48 == 32_124


@BOTH
def test_the_loudest_square_wave_is_clipped_not_wrapped(codecs: Codecs) -> None:
    down = Down(codecs)
    square = np.where(np.arange(4800) // 60 % 2, 32767, -32768).astype(np.int16)
    heard = expand(np.frombuffer(down.send(square.tobytes()), np.uint8))
    # Sixty samples of one sign, 24 kHz, are twenty at 8 kHz: in their middle the sign is theirs.
    middles = heard[10 + 10 :: 20][:60]
    assert (np.sign(middles[0::2]) == np.sign(middles[0])).all()
    assert (np.sign(middles[1::2]) == -np.sign(middles[0])).all()


@BOTH
def test_reset_forgets_the_audio_so_far(codecs: Codecs) -> None:
    down, fresh = Down(codecs), Down(codecs)
    down.send(tone(300, 961, 24_000).tobytes() + b"x")
    down.link.reset()
    pcm = tone(700, 960, 24_000).tobytes()
    assert down.send(pcm) == fresh.send(pcm)


@BOTH
@pytest.mark.parametrize("length", [0, 1, 2, 3, 159, 160, 161, 1602])
def test_every_payload_length_goes_up_whole(codecs: Codecs, length: int) -> None:
    assert len(Up(codecs).send(b"\xff" * length)) == 2 * length


@BOTH
@pytest.mark.parametrize(
    "text",
    [
        "A",
        "AA",
        "AAA",
        "====",
        "A===",
        "AA=A",
        "=AAA",
        "AA==AAAA",
        "AA A",
        "AAA\n",
        'AA"A',
        "AA\\/",
        "AA\0A",
        "äA",
        "AAA~",
    ],
)
def test_what_is_not_base64_changes_nothing(codecs: Codecs, text: str) -> None:
    up, down, clean_up, clean_down = Up(codecs), Down(codecs), Up(codecs), Down(codecs)
    data = text.encode()
    assert up.link.encode(data, 0, len(data), 0) == -1
    assert down.link.decode(data, 0, len(data)) == -1
    ulaw, pcm = bytes(range(160)), bytes(range(240))
    assert np.array_equal(up.send(ulaw), clean_up.send(ulaw))
    assert down.send(pcm) == clean_down.send(pcm)


@BOTH
def test_what_does_not_fit_the_workspace_is_declined(codecs: Codecs) -> None:
    up, down = Up(codecs).link, Down(codecs).link
    for link, code, time in ((up, up.encode, (0,)), (down, down.decode, ())):
        data = b"A" * (link.max_chars + 4)
        assert code(data, 0, link.max_chars, *time) > 0
        assert code(data, 0, link.max_chars + 4, *time) == -1
        assert code(data, 8, 4, *time) == -1


@BOTH
def test_both_base64_alphabets_are_read(codecs: Codecs) -> None:
    pcm = bytes([0xFB, 0xEF, 0xBE, 0xFF, 0xFF, 0xFF] * 20)
    safe = base64.urlsafe_b64encode(pcm)
    assert b"-" in safe
    assert b"_" in safe
    down = Down(codecs)
    result = down.link.decode(safe, 0, len(safe))
    assert down.link.ulaw(result >> 32) == Down(codecs).send(pcm)


@pytest.mark.parametrize("name", ["soxr-qq", "soxr-hq", "soxr-vhq"])
def test_soxr_can_be_the_live_resampler(name: str) -> None:
    codecs = PlainCodecs(name)
    warm_up(codecs)
    heard = through_up(codecs, tone(1000, 16_000, 8000))
    assert 28_000 < len(heard) <= 32_000
    assert level_db(heard[8000:24_000], 1000, 16_000) == pytest.approx(20 * np.log10(8000), abs=0.3)
    assert 14_000 < len(through_down(codecs, tone(1000, 48_000, 24_000))) <= 16_000


def test_a_message_head_that_does_not_fit_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="longer than"):
        KERNEL.uplink(b"x" * 501)
