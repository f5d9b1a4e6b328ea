"""What the project promises of itself, as data: each figure's bar, held beside what was measured.

A bar is a ratio to a reference of the same run where it can be, so that it means the same on any machine.
The gate does not use these: it holds a change to what was reached before, which is better than the bar.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.figures import PRODUCT, Figure, Result

SDK_BRIDGE: Final = "sdk_bridge"
RELAY: Final = "relay"
LOOKUP: Final = "lookup"
NAMES: Final = {SDK_BRIDGE: "SDK bridge", RELAY: "bare relay", LOOKUP: "look-up"}


@dataclass(frozen=True)
class Bar:
    """`figure` (over the reference `against`, unless None) may be at most `limit`, or at least."""

    figure: str  # Figure.key
    against: str | None
    limit: float
    at_least: bool = False

    @property
    def reference(self) -> str:
        return NAMES.get(self.against, self.against) if self.against else ""

    def __str__(self) -> str:
        """In few words: `≤ 1/40 SDK bridge`."""
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.shown(self.limit)} {self.reference}".rstrip()

    def shown(self, value: float) -> str:
        """A value of what the bar limits: a bare number, a multiple, or a fraction when it is small."""
        if self.against is None:
            return f"{value:.3g}"
        return f"1/{1 / value:.0f}" if 0 < value < 0.1 else f"{value:.3g} ×"


@dataclass(frozen=True)
class Judged:
    bar: Bar
    value: float | None  # the ratio, or the bare value; None: not measured
    reliable: bool = True
    load_limited: bool = False  # the load gave out before the product did
    cut_short: bool = False  # no more were tried, so the value is only known to be at least this

    @property
    def met(self) -> bool | None:
        """None: it was not measured, or the run was too disturbed to say."""
        if self.value is None or not self.reliable:
            return None
        bar = self.bar
        if self.load_limited and bar.at_least and bar.against is None:
            return True  # the bar asks for this many calls only where the load side keeps up
        if self.cut_short and bar.at_least and self.value < bar.limit:
            return None
        return self.value >= bar.limit if bar.at_least else self.value <= bar.limit

    def __str__(self) -> str:
        """`≤ 1/40 SDK bridge: 1/413, met`."""
        if self.value is None:
            return f"{self.bar}: {self.word}"
        return f"{self.bar}: {self.bar.shown(self.value)}, {self.word}"

    @property
    def word(self) -> str:
        if self.value is None:
            return "not measured"
        if self.met is None:
            return "unreliable" if not self.reliable else "no more were tried"
        if not self.met:
            return "MISSED"
        held = self.value >= self.bar.limit if self.bar.at_least else True
        return "met" if held else "met: load-limited"


def _delays() -> list[Bar]:
    return [
        Bar(f"delay_{way}_{quantile}_ms@50", SDK_BRIDGE, limit)
        for way in ("up", "down")
        for quantile, limit in (("p50", 1 / 40), ("p99", 1 / 20))
    ]


BARS: Final[tuple[Bar, ...]] = (
    Bar("ceiling_calls", SDK_BRIDGE, 4, at_least=True),
    Bar("ceiling_calls", None, 400, at_least=True),
    Bar("cpu_ms_per_call_s@50", RELAY, 1.4),
    Bar("cpu_ms_per_call_s@50", SDK_BRIDGE, 0.3),
    *_delays(),
    Bar("filter_up_ms@50", None, 2),
    Bar("filter_down_ms@50", None, 2),
    Bar("kernel_up_us", LOOKUP, 4),
    Bar("kernel_down_us", LOOKUP, 8),
    Bar("objects_per_frame_up", None, 0),
    Bar("objects_per_frame_down", None, 0),
    Bar("steady_full_collections", None, 0),
    Bar("steady_objects_per_frame", None, 0),
    # Of 100 calls: under 1 kB for each minute of a call. One byte a frame would be 450 kB a minute.
    Bar("steady_rss_kb_per_min", None, 100),
    Bar("rss_kb_per_call@50", None, 150),
)


def judge(result: Result, bars: Sequence[Bar] = BARS) -> list[Judged]:
    """Every bar beside the result, in the order of `bars`."""
    return [_judged(result, bar) for bar in bars]


def of(result: Result, figure: Figure) -> list[Judged]:
    """The bars that are held to one figure."""
    return [_judged(result, bar) for bar in BARS if bar.figure == figure.key]


def _judged(result: Result, bar: Bar) -> Judged:
    figure = result.figure(bar.figure)
    if figure is None:
        return Judged(bar, None)
    value = figure.values.get(PRODUCT) if bar.against is None else figure.ratio(bar.against)
    ends = _ends(result) if bar.figure == "ceiling_calls" else ""
    return Judged(bar, value, bar.figure not in result.unreliable, ends == "load", ends in ("cap", "time"))


def _ends(result: Result) -> str:
    """What ended the product's climb to its ceiling."""
    rows = [row for row in result.tables.get("ceiling", []) if row.get("system") == PRODUCT]
    return str(rows[0].get("limited_by")) if rows else ""
