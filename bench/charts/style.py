"""How the charts look: one palette that colour-blind people can tell apart, labels at the lines themselves,
and an ink that becomes the page's own text colour, light or dark.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from bench.figures import PRODUCT

# Okabe and Ito's palette, its black left out: on a dark page it could not be seen.
BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
GREY: Final = "#8A8A8A"
GREEN: Final = "#009E73"
PINK: Final = "#CC79A7"
ORANGE: Final = "#E69F00"
COLOURS: Final = {PRODUCT: BLUE, "sdk_bridge": VERMILION, "relay": GREY}
NAMES: Final = {PRODUCT: "voiceplane", "sdk_bridge": "SDK bridge", "relay": "bare relay"}
WAYS: Final = {"up": "caller → model", "down": "model → caller"}

INK: Final = "#3b3b3d"  # nothing else has this colour, so that it can be exchanged in the SVG
RC: Final[dict[Any, Any]] = {  # in force while a chart is drawn and while it is written
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#8A8A8A",
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched, and takes the page's colour
    "svg.hashsalt": "voiceplane",  # the same drawing is the same file
}


@dataclass(frozen=True)
class Chart:
    """A drawing, and in words what it shows."""

    name: str  # of its file, without an ending
    title: str
    caption: str
    drawing: Drawing


def panels(
    rows: int,
    columns: int,
    *,
    width: float = 10.0,
    height: float = 3.6,
    sharex: bool = False,
    sharey: bool = False,
) -> tuple[Drawing, list[Axes]]:
    """A drawing of `rows` × `columns` axes, in reading order; sizes in inches."""
    with mpl.rc_context(RC):
        drawing = Drawing(figsize=(width, height), layout="constrained")
        grid = drawing.subplots(rows, columns, squeeze=False, sharex=sharex, sharey=sharey)
        return drawing, [axes for line in grid for axes in line]


def png(drawing: Drawing) -> bytes:
    with mpl.rc_context(RC):
        target = io.BytesIO()
        drawing.savefig(target, format="png", dpi=150, facecolor="white")
    return target.getvalue()


def svg(drawing: Drawing) -> str:
    """To be put into a page as it is: transparent, its ink the page's `currentColor`."""
    with mpl.rc_context(RC):
        target = io.StringIO()
        drawing.savefig(target, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = target.getvalue()
    text = text[text.index("<svg") :]
    # The page names fonts itself; matplotlib repeats the one it laid the text out with.
    text = re.sub(r"font: ([0-9.]+)px [^;\"]*", r"font-size: \1px", text)
    return re.sub(INK, "currentColor", text, flags=re.IGNORECASE)


def label_ends(axes: Axes, ends: dict[str, tuple[float, float]], colours: dict[str, str]) -> None:
    """Name each line at its last point (label → x, y), moved apart where they would overlap.

    To be called when the axes have their scales and limits.
    """
    axes.figure.canvas.draw()  # places are known only then
    height = 13.0 * axes.figure.dpi / 72  # of a line of text, pixels
    placed: list[tuple[str, float, float]] = []
    transform = axes.transData
    for label, point in sorted(ends.items(), key=lambda item: item[1][1]):
        x, y = transform.transform(point)
        if placed:
            y = max(y, placed[-1][2] + height)
        placed.append((label, x, y))
    right = max((x for _, x, _ in placed), default=0.0)
    for label, _, y in placed:
        at = transform.inverted().transform((right, y))
        axes.annotate(
            label,
            (float(at[0]), float(at[1])),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            color=colours[label],
            fontweight="bold",
            annotation_clip=False,
        )


def nice_ms(axes: Axes) -> None:
    """A logarithmic axis of milliseconds with plain numbers on it."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    ticks = [10.0**power for power in range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_ylim(low, high)
    axes.minorticks_off()
