"""The gate's arithmetic on results made by hand."""

import json
from pathlib import Path

import pytest

from bench import gate
from bench.figures import BadResult, Figure, Result

LINES = [
    gate.Line("delay_up_p50_ms@20", "sdk_bridge", baseline=0.01, tolerance=3, reason="a test"),
    gate.Line("kernel_up_us", "lookup", baseline=3.0, tolerance=1.5, reason="a test"),
    gate.Line("lost_frames_up@20", None, baseline=0, tolerance=1, reason="none may be lost"),
]


def result(delay: float = 0.5, kernel: float = 1.2, lost: float = 0) -> Result:
    return Result(
        {},
        [
            Figure("delay_up_p50_ms@20", "added delay", "ms", {"voiceplane": delay, "sdk_bridge": 60.0}),
            Figure("kernel_up_us", "kernel", "µs", {"voiceplane": kernel, "lookup": 0.4}),
            Figure("lost_frames_up@20", "lost", "", {"voiceplane": lost, "sdk_bridge": 0}),
        ],
    )


def failed(result: Result) -> list[str]:
    return [str(verdict.line) for verdict in gate.judge(result, LINES) if not verdict.held]


def test_a_result_as_good_as_the_baseline_holds() -> None:
    assert failed(result()) == []


@pytest.mark.parametrize(
    ("worse", "named"),
    [
        ({"delay": 1.9}, "delay_up_p50_ms@20 / sdk_bridge"),
        ({"kernel": 1.9}, "kernel_up_us / lookup"),
        ({"lost": 1}, "lost_frames_up@20"),
    ],
)
def test_a_worsened_figure_fails_and_is_named(worse: dict[str, float], named: str) -> None:
    assert failed(result(**worse)) == [named]


def test_a_figure_exactly_at_its_limit_holds() -> None:
    assert failed(result(kernel=0.4 * 4.5)) == []


def test_a_figure_that_was_not_measured_fails() -> None:
    assert failed(Result({}, [])) == [str(line) for line in LINES]


def test_a_figure_of_an_unreliable_run_neither_fails_nor_holds() -> None:
    busy = result(delay=6.0)
    busy.unreliable.add("delay_up_p50_ms@20")
    (verdict, *_) = gate.judge(busy, LINES)
    assert not verdict.held
    assert not verdict.failed
    assert str(verdict).startswith("busy delay_up_p50_ms@20")


def test_what_is_measured_again_takes_the_place_of_what_was() -> None:
    first = Result({}, [])
    first.take(
        "load", {}, Result({}, [result(delay=6.0).figures[0]], ["late"], [{"run": 1}], {"delay_up_p50_ms@20"})
    )
    first.take("micro", {}, Result({}, [result().figures[1]], ["busy"]))
    first.take("load", {}, Result({}, [result().figures[0]], [], [{"run": 2}]))
    assert {figure.key for figure in first.figures} == {"delay_up_p50_ms@20", "kernel_up_us"}
    assert failed(first) == ["lost_frames_up@20"]  # which was not measured
    assert not first.unreliable
    assert first.notes == ["micro: busy"]
    assert first.runs == [{"part": "load", "run": 2}]


def test_a_slower_machine_changes_no_verdict() -> None:
    """Ratios only: everything twice as slow is the same result."""
    slow = Result(
        {},
        [
            Figure(f.key, f.title, f.unit, {name: 2 * value for name, value in f.values.items()})
            for f in result().figures
        ],
    )
    assert failed(slow) == []


def test_a_verdict_says_value_limit_and_where_the_limit_comes_from() -> None:
    (verdict, *_) = gate.judge(result(delay=6.0), LINES)
    assert str(verdict) == "FAIL delay_up_p50_ms@20 / sdk_bridge: 0.1, allowed 0.03 (baseline 0.01 × 3)"


def test_the_committed_baseline_is_one() -> None:
    lines = gate.load(Path("bench/baselines/short.json"))
    assert lines
    assert all(line.tolerance >= 1 and line.reason for line in lines)


@pytest.mark.parametrize("content", ["", "[]", '{"figures": [{"figure": "x"}]}', '{"lines": []}'])
def test_a_file_that_is_no_baseline_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "baseline.json"
    file.write_text(content)
    with pytest.raises(BadResult, match=r"baseline\.json"):
        gate.load(file)


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    from bench.figures import read

    file = tmp_path / "out" / "result.json"
    result(kernel=1.23456789).write(file)
    again = read(file)
    assert again.figures[1].values["voiceplane"] == 1.2346
    assert json.loads(file.read_text())["figures"][0]["ratios"] == {"sdk_bridge": 0.0083333}
