"""A result as people read it."""

from pathlib import Path

import pytest

from bench import brief, table
from bench.figures import BadResult, Figure, Result

RESULT = Result(
    {
        "machine": {"cpu": "Some CPU", "cores": 2},
        "python": "CPython 3.11.7",
        "commit": "0123456789abcdef",
        "started_at": "2026-11-22T10:00:00+00:00",
    },
    [
        Figure("kernel_up_us", "20 ms up", "µs", {"voiceplane": 1.25, "lookup": 0.5, "obvious": 50.0}),
        Figure("delay_up_p50_ms@50", "added delay", "ms", {"voiceplane": 0.25, "sdk_bridge": 60.0}),
        Figure("gaps_up@50", "gaps", "", {"voiceplane": 0, "sdk_bridge": 0}),
    ],
)


def test_markdown_gives_each_reference_its_column_and_ratio() -> None:
    lines = table.markdown(RESULT, "full.json").splitlines()
    assert "| Whatever the number of calls | voiceplane | μ-law table look-up | plain Python |" in lines
    assert "| 20 ms up, µs | 1.25 | 0.5 (2.5×) | 50 (0.025×) |" in lines
    assert "| 50 calls at once | voiceplane | SDK bridge |" in lines
    assert "| added delay, ms | 0.25 | 60 (0.0042×) |" in lines
    assert "| gaps | 0 | 0 |" in lines
    assert "`full.json`" in lines[0]
    assert "Some CPU, 2 cores, CPython 3.11.7, commit `0123456789`, 2026-11-22" in lines[0]


def test_a_doubtful_result_says_so_in_the_table() -> None:
    doubtful = Result(RESULT.about, RESULT.figures, ["provisional: busy"])
    assert "**provisional: busy**" in table.markdown(doubtful, "x.json")


def test_the_terminal_shows_the_same_figures(capsys: pytest.CaptureFixture[str]) -> None:
    table.show(RESULT)
    text = capsys.readouterr().out
    assert "60 (0.0042×)" in text
    assert "Whatever the number of calls" in text


def test_the_table_takes_the_place_between_the_markers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{brief.BEGIN}\nold\n{brief.END}\nafter\n")
    brief.put_into(readme, "new\n")
    assert readme.read_text() == f"before\n{brief.BEGIN}\nnew\n{brief.END}\nafter\n"


def test_a_readme_without_markers_is_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing here\n")
    with pytest.raises(BadResult, match="no lines"):
        brief.put_into(readme, "new\n")
