"""Bars, charts and the page, from a result made by hand."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bench import bars, brief
from bench.charts import draw, style
from bench.figures import BadResult, Figure, Result, read
from bench.report import page

PNG = b"\x89PNG\r\n\x1a\n"


def made() -> Result:
    figures = [
        Figure("ceiling_calls", "calls", "", {"voiceplane": 300.0, "sdk_bridge": 90.0, "relay": 320.0}),
        Figure("kernel_up_us", "kernel", "µs", {"voiceplane": 1.2, "lookup": 0.4, "obvious": 15.0}),
        Figure("steady_rss_kb_per_min", "memory growth", "kB/min", {"voiceplane": 20.0}),
    ]
    for calls in (1, 50):
        for way in ("up", "down"):
            figures += [
                Figure(
                    f"delay_{way}_{q}_ms@{calls}", "added delay", "ms", {"voiceplane": v, "sdk_bridge": 60.0}
                )
                for q, v in (("p50", 0.15), ("p99", 0.6))
            ]
    tables: dict[str, list[dict[str, object]]] = {
        "ceiling": [
            {"system": "voiceplane", "calls": 300, "limited_by": "load", "load_limited": True},
            {"system": "sdk_bridge", "calls": 90, "limited_by": "delay", "load_limited": False},
        ],
        "steady": [
            {"at_s": at, "rss_mb": 180.0, "tracked_objects": 40_000, "deadline_misses": 0}
            for at in (0.0, 30.0, 60.0)
        ],
        "resamplers": [
            {
                "direction": "up",
                "resampler": name,
                "held_back_mean_ms": held,
                "group_delay_ms": 1.4,
                "frame_us": 1.3,
            }
            for name, held in (("kernel", 0.0), ("soxr-hq", 60.0))
        ],
    }
    return Result({"commit": "abc", "started_at": "2026-11-22T10:00:00Z"}, figures, tables=tables)


def judged(result: Result) -> dict[str, bars.Judged]:
    return {f"{each.bar.figure} {each.bar.against}": each for each in bars.judge(result)}


def test_a_bar_is_a_ratio_to_the_reference_of_the_same_run() -> None:
    delay = judged(made())["delay_up_p50_ms@50 sdk_bridge"]
    assert delay.met
    assert str(delay) == "≤ 1/40 SDK bridge: 1/400, met"


def test_a_missed_bar_says_so_and_an_unmeasured_one_is_not_judged() -> None:
    found = judged(made())
    assert found["ceiling_calls sdk_bridge"].word == "MISSED"
    assert found["rss_kb_per_call@50 None"].met is None


def test_four_hundred_calls_are_asked_for_only_where_the_load_keeps_up() -> None:
    result = made()
    assert judged(result)["ceiling_calls None"].word == "met: load-limited"
    result.tables["ceiling"][0]["limited_by"] = "cap"
    assert judged(result)["ceiling_calls None"].word == "no more were tried"
    result.tables["ceiling"][0]["limited_by"] = "delay"
    assert judged(result)["ceiling_calls None"].word == "MISSED"


def test_a_figure_of_an_unreliable_run_meets_no_bar_and_misses_none() -> None:
    result = made()
    result.unreliable.add("kernel_up_us")
    assert judged(result)["kernel_up_us lookup"].word == "unreliable"


def test_memory_that_grows_with_the_calls_age_misses_its_bar() -> None:
    result = made()
    result.figures[2] = Figure("steady_rss_kb_per_min", "memory growth", "kB/min", {"voiceplane": 450.0})
    assert judged(result)["steady_rss_kb_per_min None"].word == "MISSED"


def test_the_short_table_stands_between_the_readmes_markers_and_nothing_else_changes(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{brief.BEGIN}\nold\n{brief.END}\nafter\n", encoding="utf-8")
    brief.put_into(readme, brief.markdown(made(), "full.json"))
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{brief.BEGIN}\n")
    assert text.endswith(f"{brief.END}\nafter\n")
    assert "old" not in text
    assert "0.15 / 0.6" in text
    assert "**≥ 4 × SDK bridge: 3.33 ×, MISSED**" in text


def test_a_system_that_drowned_in_the_calls_has_no_delay_but_that_word() -> None:
    result = made()
    result.tables["levels"] = [{"system": "relay", "calls": 50, "carried": "overloaded: all not heard"}]
    rows = {line.split(" | ")[0]: line for line in brief.markdown(result, "full.json").splitlines()}
    assert "| overloaded |" in rows["| 50 calls: added delay caller → model, p50 / p99, ms"]
    assert "overloaded" not in rows["| 1 call: added delay caller → model, p50 / p99, ms"]


def test_a_readme_without_markers_is_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no table here\n", encoding="utf-8")
    with pytest.raises(BadResult, match="has no lines"):
        brief.put_into(readme, "table\n")
    assert readme.read_text(encoding="utf-8") == "no table here\n"


def test_every_table_and_comparison_has_its_chart() -> None:
    charts = {chart.name: chart for chart in draw.draw(made())}
    assert charts.keys() >= {"delay-by-calls", "ceiling", "steady", "resamplers"}
    for name in ("ceiling", "steady", "resamplers"):
        assert style.png(charts[name].drawing).startswith(PNG)


def test_a_result_without_numbers_has_no_charts() -> None:
    assert draw.draw(Result({}, [])) == []


class Links(HTMLParser):
    """What a page would fetch, and what scripts it has."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        for name, value in attrs:
            if name in ("src", "href", "xlink:href") and value and not value.startswith("#"):
                self.fetched.append(value)


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    source, out, png = tmp_path / "result.json", tmp_path / "page.html", tmp_path / "png"
    made().write(source)
    written = page.write({source: read(source)}, out, png)
    text = out.read_text(encoding="utf-8")
    links = Links()
    links.feed(text)
    assert (links.fetched, links.scripts) == ([], 0)
    assert not re.search(r"@import|url\((?!#|'#|\"#)", text)
    assert text.count("<svg") == len(written) - 1
    assert all(path.read_bytes().startswith(PNG) for path in written[1:])


def test_a_results_own_text_is_not_taken_for_markup(tmp_path: Path) -> None:
    result: Any = made()
    result.notes.append("<script>alert(1)</script>")
    page.write({Path("r.json"): result}, tmp_path / "page.html", None)
    assert "<script>" not in (tmp_path / "page.html").read_text(encoding="utf-8")
