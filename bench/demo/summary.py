"""The summary after the call, for people (rich) and for programs (JSON)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.text import Text

from bench.demo.analysis import BargeIn, CallReport, Response

NAME_WIDTH, VALUE_WIDTH = 22, 8


@dataclass
class Outcome:
    """One call, with the API's result beside what was measured from outside, and why it failed if it did."""

    report: CallReport
    result: dict[str, Any]
    shortcomings: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        return {
            "ok": not self.shortcomings,
            "shortcomings": list(self.shortcomings),
            "result": self.result,
            "measured": self.report.as_json(),
        }


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f} ms"


def print_outcome(console: Console, outcome: Outcome) -> None:
    """First word, responses and barge-ins as the callee heard them; the media plane's own part below."""
    report = outcome.report
    console.print(f"\n  {report.workflow_id}, {report.duration_s:.1f} s", highlight=False)
    for name, value, detail in _rows(outcome):
        line = Text(f"    {name:<{NAME_WIDTH}}", style="default")
        line.append(f"{value:>{VALUE_WIDTH}}", style="bold")
        line.append(f"   {detail}", style="dim")
        console.print(line, soft_wrap=True, highlight=False)
    for reason in outcome.shortcomings:
        console.print(f"    [red]not right:[/red] {reason}", soft_wrap=True)


def _rows(outcome: Outcome) -> Iterator[tuple[str, str, str]]:
    report = outcome.report
    yield "answered → first word", _ms(report.first_word_heard_ms), ""
    for number, response in enumerate(report.responses, 1):
        yield f"response {number}", _ms(response.response_ms), _response_parts(response)
    for cut in report.barge_ins:
        yield "barge-in → silent", _ms(cut.reaction_ms), _barge_in_parts(cut)
    latency = outcome.result.get("latency") or {}
    for key, name in (("uplink", "caller → model"), ("downlink", "model → caller")):
        part = latency.get(key)
        if part:
            detail = f"p50; p99 {part['p99_us']} µs: {part['frames']} frames through the media plane"
            yield name, f"{part['p50_us']} µs", detail


def _response_parts(response: Response) -> str:
    if response.turn_detection_ms is None or response.model_ms is None:
        return ""
    return (
        f"= {response.turn_detection_ms:.0f} until the model took the turn"
        f" + {response.model_ms:.0f} model + {response.delivery_ms or 0:.0f} to the ear"
    )


def _barge_in_parts(cut: BargeIn) -> str:
    if cut.model_ms is None or cut.clear_ms is None:
        return ""
    return f"= {cut.model_ms:.0f} until the model heard it + {cut.clear_ms:.1f} to Twilio's clear"
