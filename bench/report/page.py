"""The page of one result or several, and its charts as files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from bench import bars, table
from bench.charts import draw, style
from bench.charts.style import Chart
from bench.figures import PRODUCT, Result


@dataclass(frozen=True)
class Picture:
    chart: Chart
    svg: Markup


@dataclass(frozen=True)
class Section:
    """One result on the page."""

    source: str
    result: Result
    judged: list[bars.Judged]
    grids: list[table.Grid]
    pictures: list[Picture]

    @property
    def product(self) -> str:
        return PRODUCT


def write(results: Mapping[Path, Result], page: Path, pictures: Path | None) -> list[Path]:
    """Write `page`, and with `pictures` every chart as PNG into that folder; returns what was written."""
    sections = [_section(path.name, result) for path, result in results.items()]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(html(sections), encoding="utf-8")
    written = [page]
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
        for path, section in zip(results, sections, strict=True):
            prefix = f"{path.stem}-" if len(results) > 1 else ""
            for picture in section.pictures:
                target = pictures / f"{prefix}{picture.chart.name}.png"
                target.write_bytes(style.png(picture.chart.drawing))
                written.append(target)
    return written


def html(sections: list[Section]) -> str:
    environment = Environment(
        loader=PackageLoader("bench.report"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cell"] = table.cell
    return environment.get_template("page.html").render(sections=sections)


def _section(source: str, result: Result) -> Section:
    judged = [each for each in bars.judge(result) if each.value is not None]
    pictures = [Picture(chart, Markup(style.svg(chart.drawing))) for chart in draw.draw(result)]
    return Section(source, result, judged, table.grids(result), pictures)
