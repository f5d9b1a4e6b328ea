"""The resamplers' table, and the measuring of responses on resamplers whose response is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from bench.micro import response
from bench.micro.frames import Effort
from bench.micro.resamplers import NAMES, measure

Pcm = npt.NDArray[np.int16]


def delayed(samples: int, gain: float) -> Callable[[Pcm], Pcm]:
    """A resampler that only delays."""
    kept = np.zeros(samples, np.int16)

    def process(pcm: Pcm) -> Pcm:
        nonlocal kept
        heard = np.concatenate([kept, pcm])
        kept = heard[len(pcm) :]
        return (heard[: len(pcm)] * gain).astype(np.int16)

    return process


def test_a_plain_delay_has_no_ripple_and_its_own_delay() -> None:
    heard = response.measure(delayed(12, 0.5), 8000, 8000, 160)
    assert heard.db == pytest.approx(-6.02, abs=0.05)
    assert heard.ripple_db(3900) < 0.05
    assert heard.delay_ms(3900) == pytest.approx(1.5, abs=0.01)
    assert heard.edge_hz(-7) == heard.hz[-1]


def test_a_resampler_without_a_filter_lets_every_image_through() -> None:
    def stuffed(pcm: Pcm) -> Pcm:
        out = np.zeros(2 * len(pcm), np.int16)
        out[::2] = pcm
        return out

    heard = response.measure(stuffed, 8000, 16_000, 160)
    assert heard.db == pytest.approx(-6.02, abs=0.05)
    assert heard.rejection_db(4600) == pytest.approx(6.02, abs=0.05)


@pytest.mark.parametrize("ratio", [2, 3])
def test_a_resampler_without_a_filter_lets_every_alias_through(ratio: int) -> None:
    heard = response.measure(lambda pcm: pcm[::ratio], 8000 * ratio, 8000, 160 * ratio)
    assert heard.db == pytest.approx(0, abs=0.05)
    assert heard.hz[-1] > 4000 * ratio - 20
    assert heard.delay_ms(3400) == pytest.approx(0, abs=0.01)


def test_the_table_shows_why_soxr_is_not_the_live_resampler() -> None:
    rows = measure(Effort(rounds=2, calls=10))
    assert [row["resampler"] for row in rows] == [*NAMES, *NAMES]
    for kernel, qq, hq, vhq in (rows[:4], rows[4:]):
        assert kernel["held_back_max_ms"] == 0
        assert kernel["frame_ratio"] == kernel["resample_ratio"] == 1
        assert float(str(kernel["rejection_db"])) >= 60 > float(str(qq["rejection_db"]))
        for slow in (hq, vhq):
            assert float(str(slow["held_back_mean_ms"])) > 30
            assert float(str(slow["held_back_max_ms"])) > float(str(slow["held_back_mean_ms"]))
            assert float(str(slow["ripple_db"])) < 0.1
