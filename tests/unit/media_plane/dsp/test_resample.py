"""The PCM kernels and their slow twins: every rate, any chunk length, measured by running them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.micro import response
from media_plane.dsp.filters import down_taps, up_taps, wide_down_taps
from media_plane.dsp.held_back import Resampler
from media_plane.dsp.plain import FirResampler
from media_plane.dsp.resample import MAX_SAMPLES, PcmResampler, Workspace

Pcm = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Case:
    """A pair of rates and what its resampler must keep to."""

    rate_in: int
    rate_out: int
    twin: Callable[[], FirResampler]
    pass_hz: int
    stop_hz: int
    delay_ms: float

    def kernel(self) -> PcmResampler:
        return PcmResampler(self.rate_in, self.rate_out)

    @property
    def up(self) -> int:
        return max(self.rate_out // self.rate_in, 1)

    @property
    def down(self) -> int:
        return max(self.rate_in // self.rate_out, 1)


CASES = [
    Case(8000, 16_000, lambda: FirResampler(up_taps(), 2, 1), 3400, 4600, 2),
    Case(16_000, 8000, lambda: FirResampler(up_taps() / 2, 1, 2), 3400, 4600, 2),
    Case(24_000, 8000, lambda: FirResampler(down_taps(), 1, 3), 3400, 4600, 2),
    Case(48_000, 16_000, lambda: FirResampler(wide_down_taps(), 1, 3), 7000, 9000, 1),
    Case(24_000, 48_000, lambda: FirResampler(up_taps(), 2, 1), 10_000, 14_000, 1),
]
RATES = pytest.mark.parametrize("case", CASES, ids=[f"{case.rate_in}-{case.rate_out}" for case in CASES])
ROADS = pytest.mark.parametrize("road", ["kernel", "twin"])


def make(case: Case, road: str) -> Resampler:
    return case.kernel() if road == "kernel" else case.twin()


def run(resampler: Resampler, pcm: Pcm, bounds: list[int]) -> Pcm:
    """Everything that comes out when `pcm` goes in cut at `bounds`."""
    return np.concatenate([resampler.process(pcm[a:b]).copy() for a, b in pairwise(bounds)])


def noise(samples: int, amplitude: int = 32_767) -> Pcm:
    return np.random.default_rng(samples).integers(-amplitude, amplitude + 1, samples).astype(np.int16)


@ROADS
@RATES
def test_what_it_passes_it_passes_unchanged_and_soon(case: Case, road: str) -> None:
    heard = response.measure(make(case, road).process, case.rate_in, case.rate_out, case.rate_in // 50)
    assert heard.ripple_db(case.pass_hz) <= 0.5
    assert abs(heard.db[heard.hz <= case.pass_hz]).max() <= 0.25
    assert heard.edge_hz() > case.pass_hz
    delay_ms = heard.delay_ms(case.pass_hz) + (case.down - 1) / case.rate_in * 1000
    assert 0 < delay_ms <= case.delay_ms
    hz, group_ms = heard.group_delay()
    inside = (hz > 50) & (hz < case.pass_hz)
    assert np.ptp(group_ms[inside]) < 0.02  # linear phase: all frequencies are as late


@ROADS
@RATES
def test_images_and_aliases_are_60_decibels_down(case: Case, road: str) -> None:
    heard = response.measure(make(case, road).process, case.rate_in, case.rate_out, case.rate_in // 50)
    assert heard.hz[-1] > max(case.rate_in, case.rate_out) / 2 - 20
    assert heard.rejection_db(case.stop_hz) >= 60


@RATES
@settings(deadline=None, max_examples=30)
@given(cuts=st.lists(st.integers(0, 2000), max_size=12))
def test_chunks_of_any_length_make_the_same_stream(case: Case, cuts: list[int]) -> None:
    pcm = noise(2000)
    bounds = [0, *sorted(cuts), 2000]
    assert np.array_equal(run(case.kernel(), pcm, bounds), run(case.kernel(), pcm, [0, 2000]))
    assert np.array_equal(run(case.twin(), pcm, bounds), run(case.twin(), pcm, [0, 2000]))


@RATES
def test_one_sample_at_a_time_loses_none(case: Case) -> None:
    pcm = noise(301)
    out = run(case.kernel(), pcm, list(range(302)))
    assert np.array_equal(out, run(case.kernel(), pcm, [0, 301]))
    assert len(out) == 301 * case.up // case.down


@RATES
@settings(deadline=None, max_examples=30)
@given(data=st.binary(max_size=3000).filter(lambda data: len(data) % 2 == 0))
def test_the_kernel_is_its_twin_to_the_last_bit(case: Case, data: bytes) -> None:
    pcm = np.frombuffer(data, "<i2")
    bounds = [0, len(pcm) // 3, len(pcm)]
    ours, theirs = run(case.kernel(), pcm, bounds), run(case.twin(), pcm, bounds)
    assert len(ours) == len(theirs)
    assert np.abs(ours.astype(int) - theirs.astype(int)).max(initial=0) <= 1


@ROADS
@RATES
def test_the_loudest_noise_is_clipped_not_wrapped(case: Case, road: str) -> None:
    pcm = np.sign(noise(case.rate_in // 10)).astype(np.int16) * 32_767
    loud = run(make(case, road), pcm, [0, len(pcm)])
    soft = run(make(case, road), pcm // 4, [0, len(pcm)]).astype(int) * 4
    assert (loud[np.abs(soft) > 33_000] * np.sign(soft[np.abs(soft) > 33_000]) > 32_000).all()


@ROADS
@RATES
def test_reset_forgets_the_audio_so_far(case: Case, road: str) -> None:
    resampler = make(case, road)
    resampler.process(noise(1001))
    resampler.reset()
    pcm = noise(500)
    assert np.array_equal(run(resampler, pcm, [0, 500]), run(make(case, road), pcm, [0, 500]))


@RATES
def test_streams_that_share_a_workspace_do_not_hear_each_other(case: Case) -> None:
    work = Workspace()
    one, other = (PcmResampler(case.rate_in, case.rate_out, work) for _ in range(2))
    alone, pcm = case.kernel(), noise(1000)
    for at in range(0, 1000, 77):
        other.process(noise(333))
        assert np.array_equal(one.process(pcm[at : at + 77]), alone.process(pcm[at : at + 77]))


@RATES
def test_what_it_gives_out_lies_in_its_workspace_and_not_in_new_memory(case: Case) -> None:
    work = Workspace()
    resampler = PcmResampler(case.rate_in, case.rate_out, work)
    assert np.shares_memory(resampler.process(noise(960)), work.out)
    assert len(resampler.process(noise(MAX_SAMPLES))) == MAX_SAMPLES * case.up // case.down


def test_more_than_fits_is_refused_and_changes_nothing() -> None:
    resampler, fresh = PcmResampler(48_000, 16_000), PcmResampler(48_000, 16_000)
    with pytest.raises(ValueError, match="more than 5760 samples"):
        resampler.process(noise(MAX_SAMPLES + 1))
    assert np.array_equal(resampler.process(noise(960)), fresh.process(noise(960)))


def test_rates_nobody_needs_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="no resampler from 44100 to 16000 Hz"):
        PcmResampler(44_100, 16_000)
