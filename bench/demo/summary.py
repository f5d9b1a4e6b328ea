"""The summary after the call, for people (rich) and for programs (JSON)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.demo.analysis import BargeIn, CallReport, Response


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
    report, result = outcome.report, outcome.result
    console.print()
    table = Table(title=f"{report.workflow_id}, {report.duration_s:.1f} s", title_justify="left", box=None)
    for name in ("", "in all", "where the time went"):
        table.add_column(name, justify="left", no_wrap=name != "where the time went")
    table.add_row("answered → first word heard", _ms(report.first_word_heard_ms), "")
    for number, response in enumerate(report.responses, 1):
        table.add_row(f"response {number}", _ms(response.response_ms), _response_parts(response))
    for cut in report.barge_ins:
        table.add_row("barge-in → agent silent", _ms(cut.reaction_ms), _barge_in_parts(cut))
    latency = result.get("latency") or {}
    for key, name in (("uplink", "added by us, caller → model"), ("downlink", "added by us, model → caller")):
        part = latency.get(key)
        if part:
            table.add_row(
                name,
                f"p50 {part['p50_us']} µs",
                f"p99 {part['p99_us']} µs over {part['frames']} frames, socket read to socket write",
            )
    console.print(table)
    for reason in outcome.shortcomings:
        console.print(f"  [red]not right:[/red] {reason}")


def _response_parts(response: Response) -> str:
    if response.turn_detection_ms is None or response.model_ms is None:
        return ""
    return (
        f"end of turn noticed by the model {_ms(response.turn_detection_ms)}, "
        f"model {_ms(response.model_ms)}, to the ear {_ms(response.delivery_ms)}"
    )


def _barge_in_parts(cut: BargeIn) -> str:
    if cut.model_ms is None or cut.clear_ms is None:
        return ""
    return f"noticed by the model {_ms(cut.model_ms)}, cleared at Twilio {cut.clear_ms:.1f} ms later"
