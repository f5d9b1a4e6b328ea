"""Parts run one after another, on parts that measure nothing."""

from pathlib import Path

import pytest
import typer

from bench.cli import measuring
from bench.figures import Figure, Measured, Result, read
from bench.load.generator import LoadFailed


def part(key: str, value: float) -> measuring.Measure:
    return lambda _say: Result({}, [Figure(key, key, "ms", {"voiceplane": value})])


def broken(_say: measuring.Say) -> Measured:
    raise LoadFailed("no call was answered")


def test_a_part_that_fails_keeps_no_other_from_being_measured(tmp_path: Path) -> None:
    out = tmp_path / "all.json"
    parts: dict[str, measuring.Measure] = {"first": part("a", 1.0), "second": broken, "third": part("b", 2.0)}
    with pytest.raises(typer.Exit) as ended:
        measuring.run_all(parts, as_json=True, out=out, into=None)
    assert ended.value.exit_code == measuring.NOT_MEASURED
    result = read(out)
    assert list(result.parts) == ["first", "third"]
    assert "second: could not be measured this time" in result.notes


def test_a_part_measured_again_takes_its_own_place_in_a_file_and_no_other(tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    measuring.run("first", part("a", 1.0), as_json=True, out=kept, into=None)
    measuring.run("second", part("b", 2.0), as_json=True, out=None, into=kept)
    measuring.run("first", part("a", 3.0), as_json=True, out=None, into=kept)
    assert {figure.key: figure.values["voiceplane"] for figure in read(kept).figures} == {"a": 3.0, "b": 2.0}
