"""The pictures of docs/audio.md, drawn from what the resamplers do when they are run.

    python -m bench.micro.plots [FOLDER]

writes three PNGs; FOLDER is docs/images unless given.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("Agg")  # no display needed

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.micro import response
from bench.micro.resamplers import DIRECTIONS, KERNEL, NAMES, codecs_of, held_back_ms, resampler
from bench.micro.response import Response
from media_plane.dsp.resample import PcmResampler

IMAGES = Path(__file__).parents[2] / "docs" / "images"
COLOURS = {KERNEL: "#c1121f", "soxr-qq": "#b08900", "soxr-hq": "#2a6f97", "soxr-vhq": "#6c757d"}
LABELS = {KERNEL: "kernel", "soxr-qq": "SOXR QQ", "soxr-hq": "SOXR HQ", "soxr-vhq": "SOXR VHQ"}
AT_ZERO = {KERNEL: ": 0", "soxr-qq": ": 0 to 0.25 ms, under the kernel's line"}
LIMIT: dict[str, Any] = {"color": "#333333", "linestyle": "--", "linewidth": 0.9}
LOWEST_HZ = 50  # below, nothing is carried and the phase says little


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in (
        ("telephone-response.png", telephone()),
        ("browser-response.png", browser()),
        ("held-back.png", held_back()),
    ):
        figure.savefig(folder / name, dpi=110)
        plt.close(figure)


def telephone() -> Figure:
    """The live directions, beside SOXR."""
    figure, grid = _grid()
    for column, direction in zip(grid.T, DIRECTIONS, strict=True):
        rates = direction.rate_in, direction.rate_out
        curves = {
            name: response.measure(resampler(direction, name), *rates, direction.chunk)
            for name in (KERNEL, "soxr-hq", "soxr-qq")
        }
        what = "caller → model" if direction.name == "up" else "model → caller"
        _column(column, curves, _title(what, rates), (3400, 4600), zoom_hz=4000, most_ms=2)
    return figure


def browser() -> Figure:
    """The wideband leg's two."""
    figure, grid = _grid()
    for column, rates, edges, what in (
        (grid[:, 0], (48_000, 16_000), (7000, 9000), "browser → model"),
        (grid[:, 1], (24_000, 48_000), (10_000, 14_000), "model → browser"),
    ):
        process: Callable[[response.Pcm], response.Pcm] = PcmResampler(*rates).process
        curves = {KERNEL: response.measure(process, *rates, rates[0] // 50)}
        _column(column, curves, _title(what, rates), edges, zoom_hz=edges[1], most_ms=1)
    return figure


def held_back() -> Figure:
    """What each resampler keeps to itself, frame by frame."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.4), sharey=True, layout="constrained")
    for ax, direction in zip(axes, DIRECTIONS, strict=True):
        for name in reversed(NAMES):
            frames = 1600 // direction.frame_ms
            held = list(islice(held_back_ms(direction, codecs_of(name)), frames))
            ax.step(
                np.arange(frames) * direction.frame_ms / 1000,
                held,
                where="post",
                color=COLOURS[name],
                label=LABELS[name] + AT_ZERO.get(name, ""),
                linewidth=2 if name == KERNEL else 1.2,
            )
        ax.set_title(_title(f"{direction.frame_ms} ms frames", (direction.rate_in, direction.rate_out)))
        ax.set_xlabel("seconds, from a call's third on")
        _quiet(ax)
    axes[0].set_ylabel("audio held back, ms")
    axes[0].set_ylim(bottom=-4)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _grid() -> tuple[Figure, NDArray[np.object_]]:
    figure, grid = plt.subplots(
        3, 2, figsize=(11, 8), layout="constrained", gridspec_kw={"height_ratios": [1.7, 1, 1]}
    )
    return figure, grid


def _column(
    axes: NDArray[np.object_],
    curves: dict[str, Response],
    title: str,
    edges: tuple[int, int],
    *,
    zoom_hz: int,
    most_ms: float,
) -> None:
    """Response, pass band and group delay, with the bars they are held to."""
    whole, passed, delay = axes
    pass_hz, stop_hz = edges
    for name, heard in reversed(curves.items()):
        style: dict[str, Any] = {
            "color": COLOURS[name],
            "label": LABELS[name],
            "linewidth": 1.8 if name == KERNEL else 1.0,
        }
        seen = heard.hz >= LOWEST_HZ
        whole.plot(heard.hz[seen] / 1000, heard.db[seen], **style)
        near = seen & (heard.hz <= zoom_hz)
        passed.plot(heard.hz[near] / 1000, heard.db[near], **style)
        hz, group_ms = heard.group_delay()
        inside = (hz >= LOWEST_HZ) & (hz <= pass_hz)
        delay.plot(hz[inside] / 1000, group_ms[inside], **style)
    last_khz = max(heard.hz[-1] for heard in curves.values()) / 1000
    whole.plot([stop_hz / 1000, last_khz], [-60, -60], **LIMIT)
    whole.text(last_khz, -58, "images and aliases: below", ha="right", va="bottom", fontsize=8)
    whole.axvspan(0, pass_hz / 1000, color="#2d936c", alpha=0.08, linewidth=0)
    whole.set(title=title, ylim=(-105, 6), xlim=(0, last_khz), ylabel="gain, dB")
    for level in (-0.25, 0.25):
        passed.plot([0, pass_hz / 1000], [level, level], **LIMIT)
    passed.set(ylim=(-0.6, 0.4), xlim=(0, zoom_hz / 1000), ylabel="pass band, dB")
    delay.axhline(most_ms, **LIMIT)
    delay.set(
        ylim=(-0.1 * most_ms, 1.2 * most_ms),
        xlim=(0, zoom_hz / 1000),
        ylabel="group delay, ms",
        xlabel="kHz",
    )
    if len(curves) > 1:
        whole.legend(loc="lower left", frameon=False, fontsize=9)
        delay.text(pass_hz / 2000, 0.06, "SOXR: none, beside what it holds back", ha="center", fontsize=8)
    for ax in axes:
        _quiet(ax)


def _title(what: str, rates: tuple[int, int]) -> str:
    return f"{what}, {rates[0] // 1000} → {rates[1] // 1000} kHz"


def _quiet(ax: Axes) -> None:
    ax.grid(alpha=0.25, linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
