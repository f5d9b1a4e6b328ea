"""Baselines made from results that are made by hand."""

from pathlib import Path

import pytest

from bench import calibration, gate
from bench.figures import BadResult, Figure, Result

LINE = gate.Line("kernel_up_us", "lookup", baseline=9.0, tolerance=9.0, reason="a test", floor=1.25)
FIXED = gate.Line("lost_frames_up@20", None, baseline=0, tolerance=1, reason="none may be lost", fixed=True)


def run(kernel: float) -> Result:
    return Result({}, [Figure("kernel_up_us", "kernel", "µs", {"voiceplane": kernel, "lookup": 1.0})])


def test_the_baseline_is_the_median_and_the_tolerance_twice_the_worst_runs_distance() -> None:
    (line,) = calibration.calibrated([LINE], [run(3.0), run(2.9), run(3.6)])
    assert (line.baseline, line.tolerance, tuple(line.seen)) == (3.0, 1.4, (2.9, 3.6))


def test_runs_that_agree_leave_the_lines_floor() -> None:
    (line,) = calibration.calibrated([LINE], [run(3.0), run(3.0)])
    assert line.tolerance == LINE.floor


def test_a_fixed_limit_stays_what_the_design_says() -> None:
    assert calibration.calibrated([FIXED], []) == [FIXED]


def test_unreliable_runs_do_not_count_and_too_few_are_refused() -> None:
    busy = run(30.0)
    busy.unreliable.add("kernel_up_us")
    with pytest.raises(BadResult, match="1 of 2 runs were reliable"):
        calibration.calibrated([LINE], [run(3.0), busy])


def test_what_was_written_is_read_back_by_the_gate(tmp_path: Path) -> None:
    runs = [run(3.0), run(3.1)]
    lines = calibration.calibrated([LINE, FIXED], runs)
    calibration.write(tmp_path / "baseline.json", lines, runs)
    found = gate.load(tmp_path / "baseline.json")
    assert [(str(line), line.limit, line.fixed) for line in found] == [
        (str(line), line.limit, line.fixed) for line in lines
    ]
