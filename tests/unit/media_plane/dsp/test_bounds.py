"""Nothing a peer sends makes a kernel read or write outside what it was given."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.kernel_fuzz import FRAME_KERNELS, Bench, fuzz_frames, fuzz_resamplers, fuzz_shapes

ROOT = Path(__file__).parents[4]


def test_the_kernels_as_they_run_leave_what_lies_around_their_memory_alone() -> None:
    assert fuzz_frames(seed=1, rounds=100) > 3000
    assert fuzz_shapes(seed=1, rounds=100) > 5000
    assert fuzz_resamplers(seed=1, rounds=100) > 1000


@pytest.mark.parametrize("name", FRAME_KERNELS)
@settings(deadline=None, max_examples=100)
@given(data=st.binary(max_size=400), at=st.tuples(st.integers(0, 400), st.integers(0, 400)))
def test_any_bytes_anywhere_in_a_message_are_taken_or_declined(
    name: str, data: bytes, at: tuple[int, int]
) -> None:
    start, end = (min(place, len(data)) for place in at)
    Bench(name, b"head").call(data, start, end)


def test_a_build_with_every_index_checked_finds_none_out_of_bounds(tmp_path: Path) -> None:
    """Compiles all kernels anew, so it takes seconds. The program first shows that a bad index raises."""
    checked = os.environ | {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-m", "tests.support.kernel_fuzz", "2", "60"],
        cwd=ROOT,
        env=checked,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 2000
