"""The picture of a call: both sides' waveforms over time, with turns, barge-ins and response times."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
import numpy.typing as npt

mpl.use("Agg")  # no display needed

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from bench.demo.analysis import CallReport, read_wav

CALLEE, AGENT, ALARM = "#2a6f97", "#2d936c", "#c1121f"
COLUMNS = 2400  # waveform envelope resolution


def envelope(channel: npt.NDArray[np.int16]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Lowest and highest sample of each of at most COLUMNS slices, -1 … 1."""
    step = max(1, len(channel) // COLUMNS)
    slices = channel[: len(channel) // step * step].reshape(-1, step) / 32768.0
    return slices.min(axis=1), slices.max(axis=1)


def _track(axes: Axes, channel: npt.NDArray[np.int16], seconds: float, colour: str, name: str) -> None:
    low, high = envelope(channel)
    at = np.linspace(0.0, seconds, len(low), endpoint=False)
    peak = max(0.05, float(np.abs(np.concatenate([low, high])).max()))
    axes.fill_between(at, low / peak, high / peak, color=colour, linewidth=0)
    axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=11, color=colour)
    axes.set_ylim(-1.15, 1.15)
    axes.set_yticks([])
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.axhline(0, color=colour, linewidth=0.5, alpha=0.4)
    axes.tick_params(length=0)


def draw(report: CallReport, recording: bytes, target: Path) -> None:
    """Write the call's picture as PNG to `target`."""
    samples, rate = read_wav(recording)
    seconds = len(samples) / rate
    figure, (callee, middle, agent) = plt.subplots(
        3, 1, figsize=(14, 5.2), sharex=True, gridspec_kw={"height_ratios": [3, 1.1, 3], "hspace": 0.0}
    )
    _track(callee, samples[:, 0], seconds, CALLEE, "caller ")
    _track(agent, samples[:, 1], seconds, AGENT, "agent ")
    middle.set_ylim(0, 1)
    middle.axis("off")

    for turn in report.responses:
        start, stop = turn.callee_stopped_ms / 1000, turn.heard_ms / 1000
        middle.annotate("", (stop, 0.30), (start, 0.30), arrowprops={"arrowstyle": "->", "color": "#444"})
        label = f"{turn.response_ms:.0f} ms"
        if turn.turn_detection_ms is not None and turn.model_ms is not None and turn.delivery_ms is not None:
            label += (
                f"\nturn {turn.turn_detection_ms:.0f} + model {turn.model_ms:.0f} + us {turn.delivery_ms:.0f}"
            )
        middle.text((start + stop) / 2, 0.42, label, ha="center", va="bottom", fontsize=8, color="#222")
        for axes in (callee, agent):
            axes.axvspan(start, stop, color="#000", alpha=0.05, linewidth=0)
    for cut in report.barge_ins:
        start, stop = cut.began_ms / 1000, cut.silenced_ms / 1000
        for axes in (callee, agent):
            axes.axvspan(start, stop, color=ALARM, alpha=0.13, linewidth=0)
        agent.text(
            (start + stop) / 2,
            -1.12,
            f"barge-in: silent after {cut.reaction_ms:.0f} ms",
            ha="center",
            va="bottom",
            fontsize=8,
            color=ALARM,
        )
    if report.first_word_heard_ms is not None:
        first = report.first_word_heard_ms / 1000
        agent.axvline(first, color="#444", linewidth=0.8, linestyle=":")
        agent.text(first + 0.05, 1.12, f"first word {first:.2f} s after pickup", fontsize=8, va="top")

    agent.set_xlim(0, seconds)
    agent.set_xlabel("seconds since the call was answered")
    figure.suptitle(f"{report.workflow_id}: {seconds:.1f} s", fontsize=11, x=0.01, ha="left")
    figure.savefig(target, dpi=110, bbox_inches="tight")
    plt.close(figure)
