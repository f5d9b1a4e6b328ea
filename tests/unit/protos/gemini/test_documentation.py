"""docs/models.md shows the table of models as it is."""

from __future__ import annotations

import re
from pathlib import Path

from protos.gemini.models import MODELS, ClientContent, Model, Platform, Proactivity

PAGE = Path(__file__).parents[4] / "docs/models.md"
LEVELS = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH")


def flag(*, on: bool) -> str:
    return "yes" if on else "–"


def row(model: Model) -> list[str]:
    alpha = model.expressive_versions == {"v1alpha"}
    proactive = "–" if model.proactivity is Proactivity.NONE else model.proactivity.value
    return [
        f"`{model.name}`",
        ", ".join(platform.value for platform in Platform if platform in model.platforms),
        ", ".join(level for level in LEVELS if level in model.thinking_levels) or "–",
        flag(on=model.thinking_budget),
        "v1alpha" if model.affective_dialog and alpha else flag(on=model.affective_dialog),
        "v1alpha" if alpha else proactive,
        flag(on=model.blocking),
        flag(on=model.scheduling),
        "any time" if model.client_content is ClientContent.ANY_TIME else "seed",
    ]


def test_the_page_s_table_is_the_table() -> None:
    rows = re.findall(r"^\| (`gemini[^\n]*) \|$", PAGE.read_text(), re.MULTILINE)
    shown = [[cell.strip() for cell in line.split(" | ")] for line in rows]
    assert shown == [row(model) for model in MODELS.values() if model.converses]


def test_the_page_names_every_model() -> None:
    page = PAGE.read_text()
    assert all(f"`{name}`" in page for name in MODELS)
